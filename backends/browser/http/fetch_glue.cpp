#include "backends/browser/http/fetch_glue.h"

#include <emscripten.h>

EM_JS_DEPS(twinloop_fetch, "$UTF8ToString,$stringToUTF8,$lengthBytesUTF8");

// clang-format off
EM_JS(int, twinloop_start_fetch, (int id, const char* method, const char* url, const char* headers, const char* user,
                                  const char* password, const char* body, int size, int follow), {
  var host = Module['twinloop'];
  var fetches = host['fetches'] || (host['fetches'] = {});
  var entry = { 'state': 0, 'text': "", 'failure': 0, 'chunks': [], 'reader': null, 'response': null };
  var request;
  try {
    if (typeof fetch !== 'function') return -1;
    var here = globalThis['location'];
    var target = new URL(UTF8ToString(url), here ? here['href'] : undefined);
    var wanted = UTF8ToString(headers).split('\n');
    var list = [];
    for (var i = 0; i + 1 < wanted.length; i += 2) list.push([wanted[i], wanted[i + 1]]);
    var name = user ? UTF8ToString(user) : decodeURIComponent(target.username);
    var secret = user ? UTF8ToString(password) : decodeURIComponent(target.password);
    if (name || secret) {
      var bytes = new TextEncoder().encode(name + ':' + secret);
      list.push(['Authorization', 'Basic ' + btoa(String.fromCharCode.apply(null, bytes))]);
    }
    target.username = target.password = target.hash = "";
    entry['controller'] = new AbortController();
    request = new Request(target.href, {
      'method': UTF8ToString(method),
      'headers': list,
      'body': body ? HEAPU8.slice(body, body + size) : undefined,
      'redirect': follow ? 'follow' : 'manual',
      'signal': entry['controller']['signal']
    });
    // A browser leaves out what it does not let a page send.
    for (var j = 0; j < list.length; ++j) {
      if (request.headers.has(list[j][0])) continue;
      host['problem'] = list[j][0];
      return -2;
    }
  } catch (error) {
    host['problem'] = String(error && error.message || error);
    return -3;
  }
  var tell = function(state) {
    if (fetches[id] !== entry) return;
    entry['state'] = state;
    _twinloop_fetch_event(id);
  };
  var codes = { 'ECONNREFUSED': 1, 'ENOTFOUND': 2, 'EAI_AGAIN': 2, 'ECONNRESET': 3, 'EPIPE': 3, 'UND_ERR_SOCKET': 3 };
  entry['fail'] = function(error) {
    var cause = error && error['cause'];  // Node's, the host that tells
    var code = String(cause && cause['code'] || "");
    entry['failure'] = codes[code] || (code.indexOf('Z_') === 0 || code.indexOf('HPE_') === 0 ? 4 : 0);
    entry['text'] = String(error && error.message || error) + (cause ? ' (' + String(cause.message || cause) + ')' : "");
    tell(4);
  };
  entry['pull'] = function() {
    if (!entry['reader']) {
      if (!entry['response'].body) return tell(3);
      entry['reader'] = entry['response'].body.getReader();
    }
    entry['reader'].read().then(function(got) {
      if (got.done) return tell(3);
      if (got.value.length === 0) return entry['pull']();
      entry['chunks'].push(got.value);
      tell(2);
    }, entry['fail']);
  };
  fetches[id] = entry;
  fetch(request).then(function(response) {
    var text = response.statusText + '\n' + response.url + '\n';
    response.headers.forEach(function(value, name) { text += name + '\n' + value + '\n'; });
    entry['response'] = response;
    entry['text'] = text;
    tell(1);
  }, entry['fail']);
  return 0;
});

EM_JS(int, twinloop_fetch_state, (int id), { return Module['twinloop']['fetches'][id]['state']; });

EM_JS(int, twinloop_fetch_status, (int id), { return Module['twinloop']['fetches'][id]['response'].status; });

EM_JS(int, twinloop_fetch_is_opaque, (int id), {
  return Module['twinloop']['fetches'][id]['response'].type === 'opaqueredirect' ? 1 : 0;
});

EM_JS(int, twinloop_fetch_text, (int id, char* into, int size), {
  var text = Module['twinloop']['fetches'][id]['text'];
  if (into) stringToUTF8(text, into, size);
  return lengthBytesUTF8(text);
});

EM_JS(int, twinloop_fetch_failure, (int id), { return Module['twinloop']['fetches'][id]['failure']; });

EM_JS(void, twinloop_pull_fetch, (int id), {
  var entry = Module['twinloop']['fetches'][id];
  try {
    entry['state'] = 0;
    entry['pull']();
  } catch (error) {
    entry['fail'](error);
  }
});

EM_JS(int, twinloop_read_fetch, (int id, char* into, int size), {
  return Module['twinloop']['take'](Module['twinloop']['fetches'][id]['chunks'], into, size);
});

EM_JS(void, twinloop_forget_fetch, (int id), {
  var fetches = Module['twinloop']['fetches'];
  var entry = fetches[id];
  delete fetches[id];
  try {
    if (entry['state'] !== 3) entry['controller'].abort();
  } catch (error) {}
});
// clang-format on

namespace twinloop::detail::host {

int start_fetch(int id, const FetchRequest& request) {
  return twinloop_start_fetch(id, request.method, request.url, request.headers, request.user, request.password,
                              request.body, request.body_size, request.follow ? 1 : 0);
}
FetchState fetch_state(int id) { return static_cast<FetchState>(twinloop_fetch_state(id)); }
int fetch_status(int id) { return twinloop_fetch_status(id); }
bool is_opaque_redirect(int id) { return twinloop_fetch_is_opaque(id) != 0; }
int fetch_text(int id, char* into, int size) { return twinloop_fetch_text(id, into, size); }
FetchFailure fetch_failure(int id) { return static_cast<FetchFailure>(twinloop_fetch_failure(id)); }
void pull_fetch(int id) { twinloop_pull_fetch(id); }
int read_fetch(int id, char* into, int size) { return twinloop_read_fetch(id, into, size); }
void forget_fetch(int id) { twinloop_forget_fetch(id); }

}  // namespace twinloop::detail::host

extern "C" EMSCRIPTEN_KEEPALIVE void twinloop_fetch_event(int id) noexcept { twinloop::detail::host::fetch_event(id); }
