// Proofs of the log, checked where the page is read: RFC 6962 hashes with Web Crypto,
// inclusion and consistency as in RFC 9162 (2.1.3.2 and 2.1.4.2), and signed notes (C2SP
// signed-note, tlog-checkpoint, tlog-cosignature, tlog-proof). Knows nothing of the page.
//
// Sizes and indices are BigInt: they have 64 bits, and a number in JavaScript has 53.

/** Why a proof does not prove. `code` is for the page, which says it in words. */
export class Unproven extends Error {
  constructor(code, detail = {}) {
    super(code);
    this.code = code;
    this.detail = detail;
  }
}

const ED25519 = 0x01;
const COSIGNATURE = 0x04;
const HASH_BYTES = 32;
const MAX = (1n << 64n) - 1n;

const utf8 = new TextEncoder();

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function equal(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes of standard base64, in its one spelling; nothing if it is another. */
export function base64(text) {
  try {
    const binary = atob(text);
    return btoa(binary) === text ? Uint8Array.from(binary, (char) => char.charCodeAt(0)) : null;
  } catch {
    return null;
  }
}

/** Whether this browser hashes here: Web Crypto is there in secure contexts only. */
export function canHash() {
  return Boolean(globalThis.crypto?.subtle);
}

async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** RFC 6962, 2.1: the prefix keeps leaves and nodes apart. */
export function leafHash(entry) {
  return sha256(concat([0x00], entry));
}

export function nodeHash(left, right) {
  return sha256(concat([0x01], left, right));
}

function checkHashes(hashes) {
  if (hashes.some((hash) => hash?.length !== HASH_BYTES)) {
    throw new Unproven("path-form");
  }
}

/**
 * The steps from a leaf to the root: which hash is left, which right, and what they give.
 * `own` says on which side the hash of the step before is. Throws where the path has
 * another length than a tree of this size needs.
 */
export async function climb(leaf, index, size, path) {
  checkHashes([leaf, ...path]);
  if (index < 0n || index >= size || size > MAX) {
    throw new Unproven("out-of-range", { index, size });
  }
  let [node, last, hash] = [index, size - 1n, leaf];
  const steps = [];
  for (const sibling of path) {
    if (last === 0n) {
      throw new Unproven("path-length");
    }
    const own = node % 2n === 1n || node === last ? "right" : "left";
    const [left, right] = own === "right" ? [sibling, hash] : [hash, sibling];
    hash = await nodeHash(left, right);
    steps.push({ own, left, right, hash });
    if (own === "right") {
      // A last node without a sibling moves up as it is, until it is a right child.
      while (node % 2n === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    }
    node >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) {
    throw new Unproven("path-length");
  }
  return { root: hash, steps };
}

/** Whether a leaf is at `index` in the tree of `size` leaves with this root. */
export async function verifyInclusion(leaf, index, size, path, root) {
  const climbed = await climb(leaf, index, size, path);
  if (!equal(climbed.root, root)) {
    throw new Unproven("other-root", { computed: climbed.root, stated: root });
  }
  return climbed;
}

/** Whether the tree of `size` leaves begins with that of `old` leaves. */
export async function verifyConsistency(old, size, oldRoot, root, path) {
  if (old <= 0n || old > size || size > MAX) {
    throw new Unproven("out-of-range", { index: old, size });
  }
  if (old === size) {
    if (path.length > 0) {
      throw new Unproven("path-length");
    }
    if (!equal(oldRoot, root)) {
      throw new Unproven("other-root", { computed: oldRoot, stated: root });
    }
    return;
  }
  checkHashes(path);
  let [node, last] = [old - 1n, size - 1n];
  while (node % 2n === 1n) {
    node >>= 1n;
    last >>= 1n;
  }
  // The old tree that is one whole subtree is not repeated in the proof.
  const isWhole = (old & (old - 1n)) === 0n;
  const [first, ...rest] = isWhole ? [oldRoot, ...path] : path;
  if (first === undefined) {
    throw new Unproven("path-length");
  }
  let [oldHash, hash] = [first, first];
  for (const sibling of rest) {
    if (last === 0n) {
      throw new Unproven("path-length");
    }
    if (node % 2n === 1n || node === last) {
      oldHash = await nodeHash(sibling, oldHash);
      hash = await nodeHash(sibling, hash);
      while (node % 2n === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      hash = await nodeHash(hash, sibling);
    }
    node >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) {
    throw new Unproven("path-length");
  }
  if (!equal(oldHash, oldRoot)) {
    throw new Unproven("other-root", { computed: oldHash, stated: oldRoot });
  }
  if (!equal(hash, root)) {
    throw new Unproven("other-root", { computed: hash, stated: root });
  }
}

function number(digits) {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(digits ?? "") || BigInt(digits) > MAX) {
    return null;
  }
  return BigInt(digits);
}

/** A signed note: its text, up to and with the last newline, and its signatures. */
export function readNote(text) {
  const cut = text.lastIndexOf("\n\n");
  if (cut < 0 || !text.endsWith("\n")) {
    throw new Unproven("note-form");
  }
  const signatures = text
    .slice(cut + 2, -1)
    .split("\n")
    .map((line) => {
      const [, name, encoded] = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/=]+)$/.exec(line) ?? [];
      const bytes = encoded && base64(encoded);
      if (!bytes || bytes.length < 5) {
        throw new Unproven("note-form");
      }
      return { name, id: hex(bytes.slice(0, 4)), bytes: bytes.slice(4) };
    });
  return { text: text.slice(0, cut + 1), signatures };
}

/** A checkpoint in a note: whose log, how many entries, and the root over them. */
export function readCheckpoint(text) {
  const note = readNote(text);
  const [origin, digits, encoded] = note.text.split("\n");
  const size = number(digits);
  const root = base64(encoded ?? "");
  if (!origin || size === null || root?.length !== HASH_BYTES) {
    throw new Unproven("checkpoint-form");
  }
  return { note, origin, size, root };
}

/** A proof as C2SP tlog-proof has it. */
export function readProof(text) {
  const cut = text.indexOf("\n\n");
  const lines = text.slice(0, Math.max(cut, 0)).split("\n");
  if (lines.shift() !== "c2sp.org/tlog-proof@v1") {
    throw new Unproven("proof-form");
  }
  if (lines[0]?.startsWith("extra ")) {
    lines.shift();
  }
  const [, digits] = /^index ([0-9]+)$/.exec(lines.shift() ?? "") ?? [];
  const index = number(digits);
  const path = lines.map(base64);
  if (index === null || path.some((hash) => hash?.length !== HASH_BYTES)) {
    throw new Unproven("proof-form");
  }
  return { index, path, checkpoint: readCheckpoint(text.slice(cut + 2)) };
}

/** A verifier key: `name+id+base64 of the type and the public key`. Its id is checked. */
export async function readKey(text) {
  const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text.trim()) ?? [];
  const bytes = encoded && base64(encoded);
  if (!bytes || bytes.length !== 33 || ![ED25519, COSIGNATURE].includes(bytes[0])) {
    throw new Unproven("key-form");
  }
  const expected = hex((await sha256(concat(utf8.encode(`${name}\n`), bytes))).slice(0, 4));
  if (expected !== id) {
    throw new Unproven("key-id");
  }
  return { name, id, type: bytes[0], public: bytes.slice(1), text: text.trim() };
}

/** Whether this browser knows Ed25519. */
export async function canVerify() {
  try {
    // The public key of RFC 8032, 7.1, test 1.
    const known = Uint8Array.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".match(/../g), (byte) =>
      parseInt(byte, 16),
    );
    await crypto.subtle.importKey("raw", known, "Ed25519", false, ["verify"]);
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether a note has a signature of this key: true or false, or nothing if it has none by
 * this key at all. A witness signs with a time before the text (tlog-cosignature).
 */
export async function isSigned(note, key) {
  const signature = note.signatures.find(({ name, id }) => name === key.name && id === key.id);
  if (!signature) {
    return null;
  }
  let [message, bytes] = [utf8.encode(note.text), signature.bytes];
  if (key.type === COSIGNATURE) {
    if (bytes.length !== 72) {
      return false;
    }
    const time = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
    message = utf8.encode(`cosignature/v1\ntime ${time}\n${note.text}`);
    bytes = bytes.slice(8);
  }
  try {
    const imported = await crypto.subtle.importKey("raw", key.public, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, bytes, message);
  } catch {
    // A public key that is no point of the curve has signed nothing.
    return false;
  }
}

export function isWitness(key) {
  return key.type === COSIGNATURE;
}
