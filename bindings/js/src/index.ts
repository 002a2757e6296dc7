/// <reference lib="esnext.disposable" preserve="true" />
/**
 * twinloop: reads that end where you want them to, over any WebSocket.
 *
 * The same C++ that serves native programs runs here as WebAssembly, on the page's own event loop.
 */
import { type InitOptions, type Runtime, type Settled, sharedRuntime } from './runtime.js';

export { TwinloopError, StreamClosedError, TimeoutError, UnsupportedError, type ErrorCode } from './errors.js';
export { type InitOptions, type WasmSource, type WebSocketConstructor } from './runtime.js';

/** Loads the module now rather than with the first connect. Only the first call's options count. */
export async function init(options: InitOptions = {}): Promise<void> {
  await sharedRuntime(options);
}

export interface OperationOptions {
  /** Aborting withdraws the operation: it rejects with the signal's reason, and no byte is lost. */
  signal?: AbortSignal;
}

export interface ConnectOptions extends OperationOptions {
  /** Subprotocols to offer. */
  protocols?: string[];
  /** Milliseconds for the whole attempt; 30,000. */
  timeout?: number;
  /** Bytes that may wait unread before the stream fails with `overflow`; 16 MiB. */
  maxBufferSize?: number;
}

export interface ReadUntilOptions extends OperationOptions {
  /** The stream is closed with `unsatisfiable_read` when so many bytes pass without the delimiter. */
  maxBytes?: number;
}

const kUntil = 0, kBytes = 1, kSome = 2, kUntilClose = 3;
const kWrite = 0, kFlush = 1, kFinish = 2;
const kUnlimited = -1;

const decoder = new TextDecoder();

/** Opens a WebSocket as a stream of bytes. Rejects with a TwinloopError that names the URL and what happened. */
export async function connect(url: string | URL, options: ConnectOptions = {}): Promise<IOStream> {
  const runtime = await sharedRuntime();
  const { number } = await runtime.start((module, id) => {
    runtime.put([String(url), ...(options.protocols ?? [])].join('\n'));
    module._twinloop_js_connect(id, options.timeout ?? 30_000, options.maxBufferSize ?? 16 * 1024 * 1024);
  }, options.signal);
  return new IOStream(runtime, number);
}

/** A connection as a stream of bytes. One read at a time; bytes are copied in and out, and what you get is yours. */
export class IOStream implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  readonly #runtime: Runtime;
  readonly #stream: number;
  #closed = false;

  /** Settles once the stream has ended, with the reason: `end`, `local`, `reset` … */
  readonly closed: Promise<string>;

  /** @internal Use connect(). */
  constructor(runtime: Runtime, stream: number) {
    this.#runtime = runtime;
    this.#stream = stream;
    this.closed = runtime
      .start((module, id) => module._twinloop_js_watch_close(id, stream))
      .then(() => runtime.start((module, id) => module._twinloop_js_reason(id, stream)))
      .then(({ bytes }) => decoder.decode(bytes))
      .catch(() => 'local');
  }

  async #read(kind: number, count: number, options: OperationOptions, delimiter?: string | Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const { bytes } = await this.#runtime.start((module, id) => {
      if (delimiter !== undefined) this.#runtime.put(delimiter);
      module._twinloop_js_read(id, this.#stream, kind, count);
    }, options.signal);
    return bytes;
  }

  /** Everything up to and including the delimiter. What follows stays for the next read. */
  readUntil(delimiter: string | Uint8Array, options: ReadUntilOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    if (delimiter.length === 0) return Promise.reject(new RangeError('readUntil needs a delimiter'));
    return this.#read(kUntil, options.maxBytes ?? kUnlimited, options, delimiter);
  }

  /** Exactly `count` bytes. */
  readBytes(count: number, options: OperationOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    if (!Number.isSafeInteger(count) || count < 0) return Promise.reject(new RangeError(`readBytes(${count})`));
    return this.#read(kBytes, count, options);
  }

  /** What there is: at least one byte, at most `maxBytes`. */
  readSome(maxBytes = 65_536, options: OperationOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(kSome, maxBytes, options);
  }

  /** Everything up to the peer's end. */
  readUntilClose(options: OperationOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(kUntilClose, kUnlimited, options);
  }

  #send(kind: number, milliseconds: number, bytes?: string | Uint8Array): Promise<Settled> {
    return this.#runtime.start((module, id) => {
      if (bytes !== undefined) this.#runtime.put(bytes);
      module._twinloop_js_write(id, this.#stream, kind, milliseconds);
    });
  }

  /** Accepts bytes (text as UTF-8) for sending. Resolves at once while little is unsent: awaiting it is back-pressure. */
  async write(bytes: string | Uint8Array): Promise<void> {
    await this.#send(kWrite, 0, bytes);
  }

  /** Resolves when everything written before was handed to the browser. */
  async flush(): Promise<void> {
    await this.#send(kFlush, 0);
  }

  /** Hands everything over and closes. Milliseconds; 10,000. */
  async finish(timeout = 10_000): Promise<void> {
    await this.#send(kFinish, timeout);
    this.close();
  }

  /** Ends the stream. What was written still goes out; pending operations reject with `local`. Safe to call twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#runtime.close(this.#stream, false);
  }

  /** The hard form of close(): what was not sent is thrown away. */
  abort(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#runtime.close(this.#stream, true);
  }

  /** Chunks as they come, until the peer's end. Leaving the loop early closes the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    try {
      for (;;) {
        const chunk = await this.readSome().catch(endOf);
        if (chunk === undefined) return;
        yield chunk;
      }
    } finally {
      this.close();
    }
  }

  /** Lines of UTF-8 text without their ends, until the peer's end. A last line without a newline counts. */
  async *lines(options: ReadUntilOptions = {}): AsyncGenerator<string, void, undefined> {
    for (;;) {
      const line = await this.readUntil('\n', options).catch(endOf);
      if (line !== undefined) {
        yield decoder.decode(line).replace(/\r?\n$/, '');
        continue;
      }
      const rest = await this.readUntilClose();
      if (rest.length > 0) yield decoder.decode(rest);
      return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

function endOf(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'end') return undefined;
  throw error;
}
