import { bytesToRead, plant, type Entry, type RealEntry, type Tree } from './tree.ts';

/** https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06 */
const block = 512;

/** Whoever wrote the archive may know why. */
export class EndsEarly extends Error {}

type Overrides = Readonly<Record<string, string>>;

/**
 * Reads what an engine exports, once and without unpacking it: so owners and modes are those of the image, whoever looks. Knows what
 * Go's and GNU's tar write: ustar, pax and GNU's long names.
 */
export async function readTar(stream: AsyncIterable<Buffer>): Promise<Tree> {
  const tree = new Map<string, Entry>();
  const bytes = new Bytes(stream);
  let overrides: Overrides = {};
  for (;;) {
    const header = await bytes.take(block);
    if (header.every((byte) => byte === 0)) break;
    checkSum(header);
    const type = String.fromCharCode(header[156] ?? 0);
    const size = Number(overrides['size'] ?? number(header, 124, 12));
    const padding = (block - (size % block)) % block;
    switch (type) {
      // For the next entry: its name or target, where too long for the header, or anything else about it.
      case 'L':
      case 'K': {
        const name = (await bytes.take(size)).toString('utf8').replace(/\0.*$/s, '');
        overrides = { ...overrides, [type === 'L' ? 'path' : 'linkpath']: name };
        await bytes.skip(padding);
        continue;
      }
      case 'x':
        overrides = { ...overrides, ...parsePax(await bytes.take(size)) };
        await bytes.skip(padding);
        continue;
      // For all entries: a comment of whoever made it.
      case 'g':
        await bytes.skip(size + padding);
        continue;
      default:
    }
    const path = overrides['path'] ?? nameOf(header);
    const target = overrides['linkpath'] ?? text(header, 157, 100);
    const owned = {
      mode: number(header, 100, 8) & 0o7777,
      uid: Number(overrides['uid'] ?? number(header, 108, 8)),
      gid: Number(overrides['gid'] ?? number(header, 116, 8)),
    };
    overrides = {};
    switch (type) {
      case '\0':
      case '0':
      case '7': {
        const wanted = Math.min(bytesToRead(path), size);
        const content = wanted > 0 ? await bytes.take(wanted) : undefined;
        await bytes.skip(size - wanted + padding);
        plant(tree, path, { kind: 'file', size, ...owned, ...(content && { content }) });
        break;
      }
      // A second name of a file that came before.
      case '1': {
        const first = tree.get(`/${target.replace(/^(?:\.?\/)+/, '')}`);
        plant(tree, path, first ?? ({ kind: 'other', ...owned } satisfies RealEntry));
        break;
      }
      case '2':
        plant(tree, path, { kind: 'link', target });
        break;
      case '5':
        plant(tree, path, { kind: 'directory', ...owned });
        break;
      default:
        plant(tree, path, { kind: 'other', ...owned });
        await bytes.skip(size + padding);
    }
  }
  // An exporter that has more to say must not find the pipe closed.
  await bytes.drain();
  return tree;
}

function checkSum(header: Buffer): void {
  let sum = 0;
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte;
  if (sum !== number(header, 148, 8)) throw new Error('what was exported must be a tar archive, it is not');
}

function nameOf(header: Buffer): string {
  const isPosix = text(header, 257, 6) === 'ustar';
  const prefix = isPosix ? text(header, 345, 155) : '';
  return prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`;
}

function text(header: Buffer, from: number, length: number): string {
  return header.toString('utf8', from, from + length).replace(/\0.*$/s, '');
}

/** Octal digits; numbers too large for them are binary, marked by the first bit. */
function number(header: Buffer, from: number, length: number): number {
  const first = header[from] ?? 0;
  if ((first & 0x80) === 0) return Number.parseInt(text(header, from, length).trim() || '0', 8);
  let value = first & 0x7f;
  for (const byte of header.subarray(from + 1, from + length)) value = value * 256 + byte;
  return value;
}

/** Records of `<length> <name>=<value>\n`; the length is that of the whole record, in bytes. */
function parsePax(records: Buffer): Overrides {
  const found: Record<string, string> = {};
  for (let from = 0; from < records.length;) {
    const space = records.indexOf(0x20, from);
    const length = Number(records.toString('latin1', from, space));
    if (space < 0 || !(length > 0)) throw new Error('a pax header must have a length, it has none');
    const record = records.toString('utf8', space + 1, from + length - 1);
    const equals = record.indexOf('=');
    found[record.slice(0, equals)] = record.slice(equals + 1);
    from += length;
  }
  return found;
}

/** A stream in pieces of the length that is asked for. */
class Bytes {
  readonly #chunks: AsyncIterator<Buffer, unknown>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async take(length: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#rest.length === 0) this.#rest = await this.#next();
      const piece = this.#rest.subarray(0, missing);
      pieces.push(piece);
      missing -= piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
    return Buffer.concat(pieces);
  }

  async skip(length: number): Promise<void> {
    let missing = length - this.#rest.length;
    this.#rest = this.#rest.subarray(Math.min(length, this.#rest.length));
    while (missing > 0) {
      const chunk = await this.#next();
      this.#rest = chunk.subarray(missing);
      missing -= chunk.length;
    }
  }

  async drain(): Promise<void> {
    while ((await this.#chunks.next()).done !== true);
  }

  async #next(): Promise<Buffer> {
    const next = await this.#chunks.next();
    if (next.done === true) throw new EndsEarly('a tar archive must have an end, it has none');
    return next.value;
  }
}
