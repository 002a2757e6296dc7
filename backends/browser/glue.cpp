// The only JavaScript of the library, and the only entry points that the host calls.
//
// `Module['twinloop']` is what both sides share.  The page or Node may put in it, before the module starts: WebSocket (a
// constructor), env (an object), output(bytes), error(text), exit(status).  The module adds input(bytes or null).
#include "backends/browser/glue.h"

#include <emscripten.h>

#include "backends/browser/browser_backend.h"
#include "backends/browser/browser_stdio.h"
#include "backends/browser/browser_websocket.h"

EM_JS_DEPS(twinloop, "$UTF8ToString,$stringToUTF8,$UTF8ArrayToString");

// clang-format off
EM_JS(void, twinloop_start, (), {
  var host = Module['twinloop'] || (Module['twinloop'] = {});
  host.sockets = {};
  host.nextSocket = 1;
  host.inputChunks = [];
  host.inputEnded = false;
  host.inputWatcher = 0;
  host.timer = 0;
  host.posted = false;
  host.takeFrom = function(chunks, into, size) {
    var taken = 0;
    while (chunks.length > 0 && taken < size) {
      var chunk = chunks[0];
      var part = Math.min(chunk.length, size - taken);
      HEAPU8.set(part === chunk.length ? chunk : chunk.subarray(0, part), into + taken);
      taken += part;
      if (part === chunk.length) chunks.shift();
      else chunks[0] = chunk.subarray(part);
    }
    return taken;
  };
  var turn = function() {
    host.posted = false;
    _twinloop_turn();
  };
  if (typeof setImmediate === 'function') {
    host.post = function() { setImmediate(turn); };
  } else {
    var channel = new MessageChannel();
    channel.port1.onmessage = turn;
    host.post = function() { channel.port2.postMessage(0); };
  }
  host['input'] = function(bytes) {
    if (host.inputEnded) return;
    if (bytes === null) host.inputEnded = true;
    else if (bytes.length > 0) host.inputChunks.push(bytes);
    if (host.inputWatcher) _twinloop_input_event(host.inputWatcher);
  };
});

EM_JS(double, twinloop_now, (), { return performance.now(); });

EM_JS(void, twinloop_request_turn, (double delay), {
  var host = Module['twinloop'];
  if (host.timer) clearTimeout(host.timer);
  host.timer = 0;
  if (delay < 0) return;
  if (delay > 0) {
    host.timer = setTimeout(function() {
      host.timer = 0;
      _twinloop_turn();
    }, Math.min(delay, 0x7fffffff));
  } else if (!host.posted) {
    host.posted = true;
    host.post();
  }
});

// Events: 1 open, 2 bytes or a write may go on, 3 closed with that code, 4 it failed by what the peer sent (code: what we told it).
EM_JS(int, twinloop_open_socket, (void* self, const char* url, const char* protocols, int limit), {
  var host = Module['twinloop'];
  var WebSocketClass = host['WebSocket'] || globalThis.WebSocket;
  if (!WebSocketClass) return -1;
  var offered = UTF8ToString(protocols);
  var socket;
  try {
    socket = new WebSocketClass(UTF8ToString(url), offered ? offered.split(',') : []);
    socket.binaryType = 'arraybuffer';
  } catch (error) {
    return -2;
  }
  var entry = { socket: socket, chunks: [], held: 0 };
  var id = host.nextSocket++;
  host.sockets[id] = entry;
  var give_up = function(code) {
    entry.chunks = [];
    entry.held = 0;
    socket.onmessage = socket.onclose = socket.onerror = null;
    try { socket.close(code); } catch (error) {}
    _twinloop_socket_event(self, 4, code);
  };
  socket.onopen = function() { _twinloop_socket_event(self, 1, 0); };
  socket.onerror = function() {};
  socket.onclose = function(event) { _twinloop_socket_event(self, 3, event.code || 1006); };
  socket.onmessage = function(event) {
    if (typeof event.data === 'string') return give_up(3003);
    var bytes = new Uint8Array(event.data);
    if (bytes.length === 0) {
      if (socket.protocol === 'twinloop.stream') _twinloop_socket_event(self, 3, 1000);
      return;
    }
    if (entry.held + bytes.length > limit) return give_up(3009);
    entry.chunks.push(bytes);
    entry.held += bytes.length;
    _twinloop_socket_event(self, 2, 0);
  };
  return id;
});

EM_JS(int, twinloop_read_socket, (int id, char* into, int size), {
  var entry = Module['twinloop'].sockets[id];
  var taken = Module['twinloop'].takeFrom(entry.chunks, into, size);
  entry.held -= taken;
  return taken;
});

EM_JS(int, twinloop_held_by_socket, (int id), { return Module['twinloop'].sockets[id].held; });

EM_JS(int, twinloop_send_to_socket, (int id, const char* bytes, int size), {
  try {
    Module['twinloop'].sockets[id].socket.send(HEAPU8.slice(bytes, bytes + size));
    return 0;
  } catch (error) {
    return -1;
  }
});

EM_JS(int, twinloop_buffered_by_socket, (int id), {
  var socket = Module['twinloop'].sockets[id].socket;
  return socket.readyState === 1 ? Math.min(socket.bufferedAmount, 0x7fffffff) : 0;
});

EM_JS(int, twinloop_socket_has_stream_protocol, (int id), {
  return Module['twinloop'].sockets[id].socket.protocol === 'twinloop.stream' ? 1 : 0;
});

EM_JS(void, twinloop_close_socket, (int id, int code), {
  var host = Module['twinloop'];
  var socket = host.sockets[id].socket;
  delete host.sockets[id];
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.onerror = function() {};
  try { socket.close(code); } catch (error) {}
});

EM_JS(void, twinloop_watch_input, (void* self), { Module['twinloop'].inputWatcher = self; });

EM_JS(int, twinloop_read_input, (char* into, int size), {
  var host = Module['twinloop'];
  if (host.inputChunks.length === 0) return host.inputEnded ? -1 : 0;
  return host.takeFrom(host.inputChunks, into, size);
});

EM_JS(void, twinloop_write_output, (const char* bytes, int size), {
  var output = Module['twinloop']['output'];
  try {
    if (output) output(HEAPU8.slice(bytes, bytes + size));
    else console.log(UTF8ArrayToString(HEAPU8, bytes, size));
  } catch (error) {
    console.error(error);
  }
});

EM_JS(void, twinloop_log, (int level, const char* text, int size), {
  var line = UTF8ArrayToString(HEAPU8, text, size);
  var error = Module['twinloop'] && Module['twinloop']['error'];
  try {
    if (error) error(line + '\n');
    else if (level >= 3) console.error(line);
    else console.warn(line);
  } catch (failure) {
    console.error(failure);
  }
});

EM_JS(void, twinloop_exit, (int status), {
  var exit = Module['twinloop']['exit'];
  try {
    if (exit) exit(status);
  } catch (error) {
    console.error(error);
  }
});

EM_JS(int, twinloop_environment, (const char* name, char* into, int size), {
  var env = Module['twinloop'] && Module['twinloop']['env'];
  var value = env && env[UTF8ToString(name)];
  if (value === undefined || value === null) return 0;
  stringToUTF8(String(value), into, size);
  return 1;
});
// clang-format on

namespace twinloop::detail::host {

void start() { twinloop_start(); }
double now() { return twinloop_now(); }
void request_turn(double delay) { twinloop_request_turn(delay); }
int open_socket(BrowserWebSocket* self, const char* url, const char* protocols, int limit) {
  return twinloop_open_socket(self, url, protocols, limit);
}
int read_socket(int socket, char* into, int size) { return twinloop_read_socket(socket, into, size); }
int held_by_socket(int socket) { return twinloop_held_by_socket(socket); }
int send_to_socket(int socket, const char* bytes, int size) { return twinloop_send_to_socket(socket, bytes, size); }
int buffered_by_socket(int socket) { return twinloop_buffered_by_socket(socket); }
bool speaks_stream_protocol(int socket) { return twinloop_socket_has_stream_protocol(socket) != 0; }
void close_socket(int socket, int code) { twinloop_close_socket(socket, code); }
void watch_input(BrowserStdio* self) { twinloop_watch_input(self); }
int read_input(char* into, int size) { return twinloop_read_input(into, size); }
void write_output(const char* bytes, int size) { twinloop_write_output(bytes, size); }
void log(int level, const char* text, int size) { twinloop_log(level, text, size); }
void exit(int status) { twinloop_exit(status); }
bool environment(const char* name, char* into, int size) { return twinloop_environment(name, into, size) != 0; }

}  // namespace twinloop::detail::host

// ---- what the host calls

extern "C" {

EMSCRIPTEN_KEEPALIVE void twinloop_turn() noexcept { twinloop::detail::BrowserBackend::turn(); }

EMSCRIPTEN_KEEPALIVE void twinloop_socket_event(twinloop::detail::BrowserWebSocket* socket, int event,
                                                int code) noexcept {
  socket->on_event(event, code);
}

EMSCRIPTEN_KEEPALIVE void twinloop_input_event(twinloop::detail::BrowserStdio* stdio) noexcept { stdio->on_event(); }
}
