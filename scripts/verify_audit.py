#!/usr/bin/env python3
"""Verify an asuser audit log from its published files alone.

Reads the tiles (C2SP tlog-tiles), the entry bundles and the signed checkpoint; recomputes every hash, the root
(RFC 6962) and the signature (ed25519, RFC 8032). With --checkpoint it also holds the log against checkpoints that
had left the host: one or many notes in a file, each of which the log must agree with.

Written apart from asuser's own verifier, from the specifications, with the standard library alone. It does not read
the journal, so it sees neither personal parts nor whether each entry is complete: `asuser audit verify` does.

    verify_audit.py AUDIT_FOLDER [--key ORIGIN+HASH+BASE64] [--checkpoint FILE]...

Without --key the key is read from AUDIT_FOLDER/verifier, which whoever owns the host could have replaced.
Exit status: 0 it verifies, 1 it does not, 2 it could not be read.
"""

import argparse
import base64
import hashlib
import pathlib
import sys

# --- ed25519, verification only (RFC 8032 section 5.1.7) -----------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if (x & 1) != sign else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def same_point(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def ed25519_verify(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    return same_point(multiply(s, BASE), add(r, multiply(h, a)))


# --- signed notes and checkpoints (C2SP signed-note, tlog-checkpoint) ----------------------------------------------


class Fault(Exception):
    """The log does not verify."""


def b64(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Fault(f"{text[:40]!r} is not base64") from error


def parse_key(text):
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise Fault("the verifier key is not of the form origin+hash+base64")
    name, key_hash, key = parts[0], parts[1], b64(parts[2])
    if len(key) != 33 or key[0] != 1:
        raise Fault("the verifier key is not an ed25519 key")
    expected = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    if expected.hex() != key_hash:
        raise Fault("the verifier key's hash is not its own")
    return name, expected, key[1:]


def open_note(note, key):
    """The (size, root) of a signed checkpoint."""
    name, key_hash, public = key
    text, separator, signatures = note.partition("\n\n")
    if not separator:
        raise Fault("a checkpoint has no signature")
    body = text + "\n"
    lines = body.split("\n")
    if len(lines) < 4 or lines[0] != name:
        raise Fault(f"a checkpoint is not of the log {name!r}")
    for line in signatures.split("\n"):
        words = line.split(" ")
        if len(words) == 3 and words[0] == "\u2014" and words[1] == name:
            signature = b64(words[2])
            if signature[:4] == key_hash and ed25519_verify(public, body.encode(), signature[4:]):
                if not lines[1].isdecimal() or str(int(lines[1])) != lines[1]:
                    raise Fault("a checkpoint's size is no number")
                return int(lines[1]), b64(lines[2])
    raise Fault(f"a checkpoint is not signed by the key of {name!r}")


def split_notes(text):
    notes, note, signed = [], [], False
    for line in text.split("\n"):
        signature = line.startswith("\u2014 ")
        if signed and not signature:
            notes.append("\n".join(note) + "\n")
            note, signed = [], False
        if not note and not line:
            continue
        signed = signed or signature
        note.append(line)
    if note:
        notes.append("\n".join(note) + "\n")
    return notes


# --- the tree (RFC 6962 section 2.1) and its tiles (C2SP tlog-tiles) -----------------------------------------------


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The complete subtrees at the right edge, as (height, hash)."""

    def __init__(self):
        self.edge = []

    def push(self, leaf):
        height, value = 0, leaf
        while self.edge and self.edge[-1][0] == height:
            value = node_hash(self.edge.pop()[1], value)
            height += 1
        self.edge.append((height, value))

    def root(self):
        if not self.edge:
            return hashlib.sha256(b"").digest()
        value = self.edge[-1][1]
        for _, left in reversed(self.edge[:-1]):
            value = node_hash(left, value)
        return value


def tile_path(level, number, width):
    digits = f"{number % 1000:03}"
    number //= 1000
    while number:
        digits = f"x{number % 1000:03}/{digits}"
        number //= 1000
    return f"tile/{level}/{digits}" + ("" if width == 256 else f".p/{width}")


def leaves_of(bundle, width, path):
    leaves, at = [], 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        leaf = bundle[at + 2 : at + 2 + length]
        if at + 2 > len(bundle) or len(leaf) != length:
            raise Fault(f"{path} is cut off")
        leaves.append(leaf)
        at += 2 + length
    if len(leaves) != width:
        raise Fault(f"{path} holds {len(leaves)} leaves, not {width}")
    return leaves


def fold(hashes):
    while len(hashes) > 1:
        hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
    return hashes[0]


def verify(folder, key, outside):
    size, root = open_note((folder / "checkpoint").read_text(encoding="utf-8"), key)
    heads = {}
    for name, note in outside:
        head_size, head_root = open_note(note, key)
        if head_size > size:
            raise Fault(f"cut tail: the log has {size} records, a checkpoint of {name} has {head_size}")
        heads.setdefault(head_size, []).append((name, head_root))
    tree, levels = Tree(), [[]]

    def compare(index):
        for name, head_root in heads.pop(index, []):
            if head_root != tree.root():
                raise Fault(f"a checkpoint of {name} is over other records than the first {index} of this log")

    compare(0)
    for number in range((size + 255) // 256):
        width = min(256, size - number * 256)
        path = tile_path("entries", number, width)
        for leaf in leaves_of((folder / path).read_bytes(), width, path):
            levels[0].append(leaf_hash(leaf))
            tree.push(levels[0][-1])
            compare(len(levels[0]))
    if tree.root() != root:
        raise Fault(f"the root over the {size} records is not the one that was signed")
    level = 0
    while levels[level]:
        hashes = levels[level]
        levels.append([])
        for number in range((len(hashes) + 255) // 256):
            row = hashes[number * 256 : number * 256 + 256]
            path = tile_path(level, number, len(row))
            if (folder / path).read_bytes() != b"".join(row):
                raise Fault(f"{path} does not hold the hashes of its records")
            if len(row) == 256:
                levels[level + 1].append(fold(row))
        level += 1
    return size, root


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--key", help="the log's verifier key (default: what the folder says)")
    parser.add_argument("--checkpoint", type=pathlib.Path, action="append", default=[], metavar="FILE")
    options = parser.parse_args()
    try:
        key = parse_key(options.key or (options.folder / "verifier").read_text(encoding="utf-8"))
        outside = []
        for path in options.checkpoint:
            notes = split_notes(path.read_text(encoding="utf-8"))
            if not notes:
                raise Fault(f"{path} holds no checkpoint")
            outside += [(path.name, note) for note in notes]
        size, root = verify(options.folder, key, outside)
    except Fault as fault:
        print(f"FAILED: {fault}")
        return 1
    except (OSError, UnicodeDecodeError) as error:
        print(f"cannot be read: {error}", file=sys.stderr)
        return 2
    print(f"verified: {size} records, root {root.hex()}, {len(outside)} outside checkpoints agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
