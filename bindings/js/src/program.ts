/** Runs a whole twinloop program, built to wasm, with its `stdio:` wired to JavaScript. */
import { type WebSocketConstructor } from './runtime.js';
import { closeSockets, compile, instantiateWith, type Sockets, type WasmSource } from './wasm.js';

export interface ProgramOptions {
  /** The program's arguments, without its name. */
  args?: string[] | undefined;
  /** What environment variables it sees. */
  env?: Record<string, string> | undefined;
  /** The module: its address, its bytes or compiled. By default the file beside the glue that ends in `.wasm`. */
  wasm?: WasmSource | Promise<WasmSource> | undefined;
  /** The WebSocket class; needed in Node 20. */
  WebSocket?: WebSocketConstructor | undefined;
  /** Called with what the program writes to `stdio:`. A promise it returns makes the program's writes wait. */
  output?: ((bytes: Uint8Array<ArrayBuffer>) => void | Promise<void>) | undefined;
  /** Called with what it logs: one line each. */
  error?: ((line: string) => void) | undefined;
  /** Called with the exit status when the program's coroutine ends. */
  onExit?: ((status: number) => void) | undefined;
  /** Called with the trace at the program's end, when `env` has TWINLOOP_TRACE. */
  onTrace?: ((json: string) => void) | undefined;
}

/** What Emscripten's `-sMODULARIZE -sEXPORT_ES6` glue exports by default. */
export type GlueFactory = (options: object) => Promise<object>;

export interface Program {
  /**
   * Feeds `stdio:`; null is the end of the input. False when 16 MiB wait already, or after the end: nothing was taken then.
   */
  input(data: string | Uint8Array | null): boolean;
  /** Resolves with the exit status when the program's coroutine ends; rejects with what broke the program, a trap say. */
  readonly exited: Promise<number>;
  /**
   * What the loop did so far, as the JSON that Perfetto and chrome://tracing open. Undefined unless the program was started with
   * `env: { TWINLOOP_TRACE: '…' }`, and once it has ended.
   */
  trace(): string | undefined;
}

interface Host extends Sockets {
  input?: (bytes: Uint8Array | null) => boolean;
  requestTrace?: () => void;
}

/** Starts a program, given its Emscripten glue or the glue's address. */
export async function runProgram(glue: GlueFactory | string | URL, options: ProgramOptions = {}): Promise<Program> {
  const factory = typeof glue === 'function' ? glue : await load(glue);
  const source = (await options.wasm) ?? (typeof glue === 'function' ? undefined : besides(glue));
  if (source === undefined) throw new Error('twinloop: runProgram needs { wasm } when it is given a function');
  const wasm = await compile(source, 'pass runProgram(…, { wasm }) with its address or its bytes');
  const encoder = new TextEncoder();
  let resolveExit!: (status: number) => void;
  let rejectExit!: (cause: unknown) => void;
  const exited = new Promise<number>((resolve, reject) => {
    resolveExit = resolve;
    rejectExit = reject;
  });
  exited.catch(() => undefined); // the host has heard of it already
  let broken = false;
  const breakDown = (cause: unknown): void => {
    broken = true;
    closeSockets(host);
    rejectExit(cause);
  };
  const exit = (status: number): void => {
    resolveExit(status);
    options.onExit?.(status);
  };
  let saved: string | undefined;
  const save = (_name: string, text: string): void => {
    saved = text;
    options.onTrace?.(text);
  };
  const host: Host & Record<string, unknown> = { exit, save };
  for (const name of ['env', 'WebSocket', 'output', 'error'] as const) {
    if (options[name] !== undefined) host[name] = options[name];
  }
  await new Promise<object>((resolve, reject) => {
    const given = [...(options.args ?? [])]; // Emscripten puts the program's name in front
    const module = { arguments: given, twinloop: host, instantiateWasm: instantiateWith(wasm, reject, breakDown) };
    factory(module).then(resolve, reject);
  });
  return {
    exited,
    trace: () => {
      saved = undefined;
      if (!broken) host.requestTrace?.();
      return saved;
    },
    input: (data) => !broken && (host.input?.(typeof data === 'string' ? encoder.encode(data) : data) ?? false),
  };
}

async function load(url: string | URL): Promise<GlueFactory> {
  const glue = (await import(/* @vite-ignore */ /* webpackIgnore: true */ String(url))) as { default: GlueFactory };
  return glue.default;
}

function besides(glue: string | URL): URL {
  const url = new URL(glue, globalThis.location?.href);
  url.pathname = url.pathname.replace(/\.m?js$/, '.wasm');
  return url;
}
