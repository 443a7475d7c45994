#!/usr/bin/env python3
"""Checks a log without any of its code: the standard library and RFC 6962 only.

    checker.py root         CHECKPOINT ENTRIES             the entries give the checkpoint's root
    checker.py inclusion    PROOF ENTRY                    the entry is in the log
    checker.py consistency  CHECKPOINT CHECKPOINT PROOF    the second log begins with the first

CHECKPOINT is a signed checkpoint (C2SP tlog-checkpoint), ENTRIES what `ephor log export` writes,
ENTRY one such line. The PROOF of inclusion is that of `ephor log prove` (C2SP tlog-proof), the
PROOF of consistency that of `ephor log compare --proof`:
{"old": 3, "new": 7, "path": ["<64 hexadecimal digits>", ...]}.

Checked by recursion over the definitions (RFC 6962, section 2.1), where the Rust code has
the loops of RFC 9162. Signatures are not checked: the standard library has no Ed25519.
Exit code 0 if it holds, 1 if not, 2 if the input cannot be read.
"""

import base64
import hashlib
import json
import sys


def leaf_hash(entry):
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(size):
    """The largest power of two below size."""
    return 1 << (size - 1).bit_length() - 1


def root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def inclusion_root(leaf, index, size, path):
    """The root that a path leads to; the path is used up from its end, the root's side."""
    if not 0 <= index < size:
        raise ValueError("the entry is not in a tree of this size")
    if size == 1:
        if path:
            raise ValueError("the path is too long")
        return leaf
    if not path:
        raise ValueError("the path is too short")
    k = split(size)
    if index < k:
        return node_hash(inclusion_root(leaf, index, k, path[:-1]), path[-1])
    return node_hash(path[-1], inclusion_root(leaf, index - k, size - k, path[:-1]))


def consistency_roots(old, new, path, old_root, whole=True):
    """The roots of both trees that a proof leads to; `whole` is the b of SUBPROOF."""
    if old == new:
        if whole:
            if path:
                raise ValueError("the path is too long")
            return old_root, old_root
        if len(path) != 1:
            raise ValueError("the path has the wrong length")
        return path[0], path[0]
    if not path:
        raise ValueError("the path is too short")
    k = split(new)
    if old <= k:
        left_old, left_new = consistency_roots(old, k, path[:-1], old_root, whole)
        return left_old, node_hash(left_new, path[-1])
    right_old, right_new = consistency_roots(old - k, new - k, path[:-1], old_root, False)
    return node_hash(path[-1], right_old), node_hash(path[-1], right_new)


def checkpoint(text):
    """Size and root of a signed checkpoint (C2SP tlog-checkpoint)."""
    lines = text.split("\n\n")[0].split("\n")
    return int(lines[1]), base64.b64decode(lines[2], validate=True)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def check(command, files):
    if command == "root":
        size, signed = checkpoint(read(files[0]).decode())
        leaves = [leaf_hash(line) for line in read(files[1]).split(b"\n")[:-1]]
        return len(leaves) >= size and root(leaves[:size]) == signed
    if command == "inclusion":
        head, note = read(files[0]).decode().split("\n\n", 1)
        lines = [line for line in head.split("\n") if not line.startswith("extra ")]
        size, signed = checkpoint(note)
        path = [base64.b64decode(line, validate=True) for line in lines[2:]]
        leaf = leaf_hash(read(files[1]).removesuffix(b"\n"))
        index = int(lines[1].removeprefix("index "))
        return lines[0] == "c2sp.org/tlog-proof@v1" and inclusion_root(leaf, index, size, path) == signed
    if command == "consistency":
        (old, old_root), (new, new_root) = (checkpoint(read(file).decode()) for file in files[:2])
        proof = json.loads(read(files[2]))
        path = [bytes.fromhex(digits) for digits in proof["path"]]
        if (proof["old"], proof["new"]) != (old, new) or not 0 < old <= new:
            return False
        return consistency_roots(old, new, path, old_root) == (old_root, new_root)
    raise IndexError(command)


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        holds = check(sys.argv[1], sys.argv[2:])
    except ValueError as error:
        print(f"does not hold: {error}")
        return 1
    except (OSError, KeyError, IndexError, TypeError) as error:
        print(f"cannot be read: {error!r}", file=sys.stderr)
        return 2
    print("holds" if holds else "does not hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
