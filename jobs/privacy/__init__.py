"""Where identity lives: keys, kinds of identifiers, the vault of tokens, sealed files. Nothing clear leaves it."""
