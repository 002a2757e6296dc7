// The only JavaScript of the library, and the only entry points that the host calls.
//
// `Module['twinloop']` is what both sides share.  The page or Node may put in it, before the module starts: WebSocket (a
// constructor), env (an object), output(bytes), error(text), exit(status),
// save(name, text).  The module adds input(bytes or null) and, while it records one,
// requestTrace().  Its names are
// quoted, so that --closure 1 leaves them alone.
#include "backends/browser/glue.h"

#include <emscripten.h>

#include "backends/browser/browser_backend.h"
#include "backends/browser/browser_stdio.h"
#include "backends/browser/browser_websocket.h"
#include "twinloop/detail/config.h"

EM_JS_DEPS(twinloop, "$UTF8ToString,$stringToUTF8,$UTF8ArrayToString");

// clang-format off
EM_JS(void, twinloop_start, (), {
  var host = Module['twinloop'] || (Module['twinloop'] = {});
  host['sockets'] = {};
  host['nextSocket'] = 1;
  host['problem'] = "";
  host['chunks'] = [];
  host['held'] = 0;
  host['ended'] = false;
  host['busy'] = false;
  host['watcher'] = 0;
  host['timer'] = 0;
  host['posted'] = false;
  host['take'] = function(chunks, into, size) {
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
    host['posted'] = false;
    _twinloop_turn();
  };
  if (typeof setImmediate === 'function') {
    host['post'] = function() { setImmediate(turn); };
  } else {
    var channel = new MessageChannel();
    channel.port1.onmessage = turn;
    host['post'] = function() { channel.port2.postMessage(0); };
  }
  // False when too much waits already: nothing was taken, offer it again later.
  host['input'] = function(bytes) {
    if (host['ended']) return false;
    if (bytes === null) {
      host['ended'] = true;
    } else {
      if (host['held'] > 0 && host['held'] + bytes.length > 16777216) return false;
      if (bytes.length > 0) host['chunks'].push(new Uint8Array(bytes));
      host['held'] += bytes.length;
    }
    if (host['watcher']) _twinloop_input_event(host['watcher']);
    return true;
  };
});

EM_JS(double, twinloop_now, (), {
  try { return performance.now(); } catch (error) { return Date.now(); }
});

EM_JS(void, twinloop_request_turn, (double delay), {
  var host = Module['twinloop'];
  try {
    if (host['timer']) clearTimeout(host['timer']);
    host['timer'] = 0;
    if (delay < 0) return;
    if (delay > 0) {
      host['timer'] = setTimeout(function() {
        host['timer'] = 0;
        _twinloop_turn();
      }, Math.min(delay, 0x7fffffff));
    } else if (!host['posted']) {
      host['post']();
      host['posted'] = true;
    }
  } catch (error) {
    console.error(error);
  }
});

// Events: 1 open (with 1 where `twinloop.stream` was agreed), 2 bytes came, 3 closed with that code, 4 closed by us for what the peer
// sent (the code says what), 5 the peer ended its sending side in-band, 6 the question how much may be held here.
EM_JS(int, twinloop_open_socket, (void* self, const char* url, const char* protocols), {
  var host = Module['twinloop'];
  var given = host['connecting'] || {};
  var offered = UTF8ToString(protocols);
  var socket;
  try {
    var WebSocketClass = given['WebSocket'] || host['WebSocket'] || globalThis['WebSocket'];
    if (!WebSocketClass) return -1;
    socket = new WebSocketClass(UTF8ToString(url), offered ? offered.split(',') : []);
    socket.binaryType = 'arraybuffer';
  } catch (error) {
    host['problem'] = String(error && error.message || error);
    return error && error.name === 'SyntaxError' ? -3 : -2;
  }
  var entry = { 'socket': socket, 'chunks': [], 'held': 0 };
  var id = host['nextSocket']++;
  host['sockets'][id] = entry;
  var tell = function(event, code) {
    if (host['sockets'][id] === entry) return _twinloop_socket_event(self, event, code);
  };
  var report = function(code, reason) {
    given['code'] = code;
    given['reason'] = reason;
  };
  var give_up = function(event, code) {
    socket.onmessage = socket.onclose = null;
    socket.onerror = function() {};
    report(event, "");
    try { socket.close(code); } catch (error) {}
    tell(4, event);
  };
  socket.onopen = function() { tell(1, socket.protocol === 'twinloop.stream'); };
  socket.onerror = function() {};
  socket.onclose = function(event) {
    report(event.code || 1006, String(event.reason || ""));
    tell(3, event.code || 1006);
  };
  socket.onmessage = function(event) {
    if (typeof event.data === 'string') return give_up(1003, 3003);
    var bytes = new Uint8Array(event.data);
    if (bytes.length === 0) {
      if (socket.protocol === 'twinloop.stream') tell(5, 0);
      return;
    }
    if (entry['held'] + bytes.length > tell(6, 0)) return give_up(3009, 3009);
    entry['chunks'].push(bytes);
    entry['held'] += bytes.length;
    tell(2, 0);
  };
  return id;
});

EM_JS(void, twinloop_problem, (char* into, int size), { stringToUTF8(Module['twinloop']['problem'], into, size); });

EM_JS(int, twinloop_read_socket, (int id, char* into, int size), {
  var entry = Module['twinloop']['sockets'][id];
  var taken = Module['twinloop']['take'](entry['chunks'], into, size);
  entry['held'] -= taken;
  return taken;
});

EM_JS(int, twinloop_held_by_socket, (int id), { return Module['twinloop']['sockets'][id]['held']; });

EM_JS(int, twinloop_send_to_socket, (int id, const char* bytes, int size), {
  try {
    Module['twinloop']['sockets'][id]['socket'].send(HEAPU8.slice(bytes, bytes + size));
    return 0;
  } catch (error) {
    return -1;
  }
});

// What it has not sent yet, or -1 when it is closing: what were sent then would be lost without a word.
EM_JS(int, twinloop_buffered_by_socket, (int id), {
  try {
    var socket = Module['twinloop']['sockets'][id]['socket'];
    return socket.readyState === 1 ? Math.min(socket.bufferedAmount, 0x7fffffff) : -1;
  } catch (error) {
    return -1;
  }
});

EM_JS(void, twinloop_close_socket, (int id, int code), {
  var host = Module['twinloop'];
  var socket = host['sockets'][id]['socket'];
  delete host['sockets'][id];
  try {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = function() {};
    socket.close(code);
  } catch (error) {}
});

EM_JS(int, twinloop_watch_input, (void* self), {
  var host = Module['twinloop'];
  if (host['watcher']) return 0;
  host['watcher'] = self;
  return 1;
});

EM_JS(void, twinloop_leave_input, (void* self), {
  var host = Module['twinloop'];
  if (host['watcher'] === self) host['watcher'] = 0;
});

EM_JS(int, twinloop_read_input, (char* into, int size), {
  var host = Module['twinloop'];
  if (host['chunks'].length === 0) return host['ended'] ? -1 : 0;
  var taken = host['take'](host['chunks'], into, size);
  host['held'] -= taken;
  return taken;
});

// 0 when the host still works on what it got before: output() may return a promise to say so.
EM_JS(int, twinloop_write_output, (const char* bytes, int size), {
  var host = Module['twinloop'];
  if (host['busy']) return 0;
  var again = function() {
    host['busy'] = false;
    if (host['watcher']) _twinloop_input_event(host['watcher']);
  };
  try {
    if (!host['output']) {
      console.log(UTF8ArrayToString(HEAPU8, bytes, size));
      return 1;
    }
    var shown = host['output'](HEAPU8.slice(bytes, bytes + size));
    if (shown && typeof shown.then === 'function') {
      host['busy'] = true;
      shown.then(again, function(error) {
        console.error(error);
        again();
      });
    }
  } catch (error) {
    console.error(error);
  }
  return 1;
});

EM_JS(int, twinloop_output_busy, (), { return Module['twinloop']['busy'] ? 1 : 0; });

// A byte is a character: what is searched becomes a string of characters up to 255.  One byte in front of `from` comes with it, as
// what \b looks at.
EM_JS(int, twinloop_compile_pattern, (const char* text, int size), {
  var host = Module['twinloop'];
  host['binary'] = function(from, to) {
    var string = "";
    for (; from < to; from += 4096) string += String.fromCharCode.apply(null, HEAPU8.subarray(from, Math.min(from + 4096, to)));
    return string;
  };
  host['patterns'] = host['patterns'] || [null];
  try {
    return host['patterns'].push(new RegExp(host['binary'](text, text + size), 'g')) - 1;
  } catch (error) {
    host['problem'] = String(error && error.message || error);
    return 0;
  }
});

EM_JS(int, twinloop_match_pattern, (int id, const char* text, int from, int size), {
  var host = Module['twinloop'];
  try {
    var start = Math.max(from - 1, 0);
    var pattern = host['patterns'][id];
    pattern.lastIndex = from - start;
    return pattern.test(host['binary'](text + start, text + size)) ? start + pattern.lastIndex : -1;
  } catch (error) {
    console.error(error);
    return -1;
  }
});

EM_JS(void, twinloop_forget_pattern, (int id), { delete Module['twinloop']['patterns'][id]; });

EM_JS(void, twinloop_log, (int level, const char* text, int size), {
  try {
    var line = UTF8ArrayToString(HEAPU8, text, size);
    var error = Module['twinloop'] && Module['twinloop']['error'];
    if (error) error(line + '\n');
    else if (level >= 3) console.error(line);
    else console.warn(line);
  } catch (failure) {
    console.error(failure);
  }
});

EM_JS(void, twinloop_exit, (int status), {
  try {
    var exit = Module['twinloop']['exit'];
    if (exit) exit(status);
  } catch (error) {
    console.error(error);
  }
});

EM_JS(int, twinloop_save, (const char* name, const char* text, int size), {
  try {
    var save = Module['twinloop']['save'];
    if (!save) return 0;
    save(UTF8ToString(name), UTF8ArrayToString(HEAPU8, text, size));
    return 1;
  } catch (error) {
    console.error(error);
    return 0;
  }
});

EM_JS(void, twinloop_offer_trace, (int offered), {
  Module['twinloop']['requestTrace'] = offered ? function() { _twinloop_trace_request(); } : undefined;
});

EM_JS(int, twinloop_environment, (const char* name, char* into, int size), {
  try {
    var env = Module['twinloop'] && Module['twinloop']['env'];
    var value = env && env[UTF8ToString(name)];
    if (value === undefined || value === null) return 0;
    stringToUTF8(String(value), into, size);
    return 1;
  } catch (error) {
    return 0;
  }
});
// clang-format on

namespace twinloop::detail::host {

void start() { twinloop_start(); }
double now() { return twinloop_now(); }
void request_turn(double delay) { twinloop_request_turn(delay); }
int open_socket(BrowserWebSocket* self, const char* url, const char* protocols) {
  return twinloop_open_socket(self, url, protocols);
}
void problem(char* into, int size) { twinloop_problem(into, size); }
int read_socket(int socket, char* into, int size) { return twinloop_read_socket(socket, into, size); }
int held_by_socket(int socket) { return twinloop_held_by_socket(socket); }
int send_to_socket(int socket, const char* bytes, int size) { return twinloop_send_to_socket(socket, bytes, size); }
int buffered_by_socket(int socket) { return twinloop_buffered_by_socket(socket); }
void close_socket(int socket, int code) { twinloop_close_socket(socket, code); }
bool watch_input(BrowserStdio* self) { return twinloop_watch_input(self) != 0; }
void leave_input(BrowserStdio* self) { twinloop_leave_input(self); }
int read_input(char* into, int size) { return twinloop_read_input(into, size); }
bool write_output(const char* bytes, int size) { return twinloop_write_output(bytes, size) != 0; }
bool output_busy() { return twinloop_output_busy() != 0; }
int compile_pattern(const char* text, int size) { return twinloop_compile_pattern(text, size); }
int match_pattern(int pattern, const char* text, int from, int size) {
  return twinloop_match_pattern(pattern, text, from, size);
}
void forget_pattern(int pattern) { twinloop_forget_pattern(pattern); }
void log(int level, const char* text, int size) { twinloop_log(level, text, size); }
void exit(int status) { twinloop_exit(status); }
void offer_trace(bool offered) { twinloop_offer_trace(offered ? 1 : 0); }
bool save(const char* name, const char* text, int size) { return twinloop_save(name, text, size) != 0; }
bool environment(const char* name, char* into, int size) { return twinloop_environment(name, into, size) != 0; }

}  // namespace twinloop::detail::host

// ---- what the host calls

extern "C" {

EMSCRIPTEN_KEEPALIVE void twinloop_turn() noexcept { twinloop::detail::BrowserBackend::turn(); }

EMSCRIPTEN_KEEPALIVE int twinloop_socket_event(twinloop::detail::BrowserWebSocket* socket, int event,
                                               int code) noexcept {
  return socket->on_event(event, code);
}

#if TWINLOOP_INSPECTION
EMSCRIPTEN_KEEPALIVE void twinloop_trace_request() noexcept { twinloop::detail::on_trace_request(); }
#endif

EMSCRIPTEN_KEEPALIVE void twinloop_input_event(twinloop::detail::BrowserStdio* stdio) noexcept { stdio->on_event(); }
}
