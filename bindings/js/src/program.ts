/** Runs a whole twinloop program, built to wasm, with its `stdio:` wired to JavaScript. */
import { instantiateWith, type WebSocketConstructor } from './runtime.js';

export interface ProgramOptions {
  /** The program's arguments, without its name. */
  args?: string[];
  /** What environment variables it sees. */
  env?: Record<string, string>;
  /** The compiled module, or its bytes. */
  wasm: WebAssembly.Module | BufferSource;
  /** The WebSocket class; needed in Node 20. */
  WebSocket?: WebSocketConstructor;
  /** Called with what the program writes to `stdio:`. */
  output?: (bytes: Uint8Array<ArrayBuffer>) => void;
  /** Called with what it logs: one line each. */
  error?: (line: string) => void;
}

export interface Program {
  /** Feeds `stdio:`; null is the end of the input. */
  input(data: string | Uint8Array | null): void;
  /** Resolves with the exit status when the program's coroutine ends. */
  readonly exited: Promise<number>;
}

interface Host {
  input?: (bytes: Uint8Array | null) => void;
}

/** Starts the program whose Emscripten glue is at `glueUrl`. */
export async function runProgram(glueUrl: string | URL, options: ProgramOptions): Promise<Program> {
  const wasm = options.wasm instanceof WebAssembly.Module ? options.wasm : await WebAssembly.compile(options.wasm);
  const glue = (await import(String(glueUrl))) as { default: (options: object) => Promise<object> };
  const encoder = new TextEncoder();
  let exit!: (status: number) => void;
  const exited = new Promise<number>((resolve) => (exit = resolve));
  const host: Host & Record<string, unknown> = { exit };
  for (const name of ['env', 'WebSocket', 'output', 'error'] as const) {
    if (options[name] !== undefined) host[name] = options[name];
  }
  await new Promise<object>((resolve, reject) => {
    const module = { arguments: options.args ?? [], twinloop: host, instantiateWasm: instantiateWith(wasm, reject) };
    glue.default(module).then(resolve, reject);
  });
  return {
    exited,
    input: (data) => host.input?.(typeof data === 'string' ? encoder.encode(data) : data),
  };
}
