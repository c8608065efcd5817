"""Decrypts an OpenPGP message from standard input to standard output with the key in a file. A process of its own, started by pgp.py: the library
holds the interpreter while it works, and what strangers send is parsed apart from everything else.
"""

import sys


def main(key_file: str) -> int:
    import pysequoia

    try:
        secret = pysequoia.Tsk.from_file(key_file)
        pysequoia.decrypt_file("/dev/stdin", "/dev/stdout", decryptor=secret.decryptor())
    except Exception as error:  # whatever the library raises
        print(str(error).splitlines()[0], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
