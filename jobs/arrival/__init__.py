"""Bytes to rows: inboxes, claims, verification, decoding. Read land.py first; formats/ has one reader a format."""
