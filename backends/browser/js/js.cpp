// The bridge's own JavaScript, in an object file of its own: a program that does not include twinloop/js.h carries none of it.
#include "twinloop/js.h"

#include <emscripten.h>

#include <string>
#include <unordered_map>

EM_JS_DEPS(twinloop_js, "$Emval,$UTF8ToString");

// clang-format off
EM_JS(void, twinloop_watch_promise, (emscripten::EM_VAL promise, unsigned number), {
  var settled = function(fulfilled) {
    return function(value) { _twinloop_promise_settled(number, fulfilled, Emval.toHandle(value)); };
  };
  new Promise(function(resolve) { resolve(Emval.toValue(promise)); }).then(settled(1), settled(0));
});

EM_JS(emscripten::EM_VAL, twinloop_make_deferred, (), {
  var deferred = {};
  deferred['promise'] = new Promise(function(resolve, reject) {
    deferred['resolve'] = resolve;
    deferred['reject'] = reject;
  });
  return Emval.toHandle(deferred);
});

EM_JS(void, twinloop_reject, (emscripten::EM_VAL deferred, const char* code, const char* text), {
  var error = new Error(UTF8ToString(text));
  error['code'] = UTF8ToString(code);
  Emval.toValue(deferred)['reject'](error);
});

EM_JS(emscripten::EM_VAL, twinloop_text_of, (emscripten::EM_VAL thrown), {
  var text;
  try {
    var value = Emval.toValue(thrown);
    text = String(value instanceof Error && value.message || value);
  } catch (error) {
    text = "a value that has no text";
  }
  return Emval.toHandle(text);
});
// clang-format on

namespace twinloop {
namespace {

using emscripten::val;

std::string text_of(const val& thrown) {
  return val::take_ownership(twinloop_text_of(thrown.as_handle())).as<std::string>();
}

// One promise that somebody awaits.  JavaScript knows it by a number, so that a promise may be settled after it has gone.
class PromiseWait final : public detail::Pooled, public detail::OperationBase, private detail::CloseHook {
 public:
  static Future<JsValue> start(const val& promise) {
    auto* self = new PromiseWait;
    waits().emplace(self->number_, self);
    twinloop_watch_promise(promise.as_handle(), self->number_);
    return detail::OperationAccess::make_future<JsValue>(*self);
  }

  static void settled(unsigned number, bool fulfilled, val value) {
    const auto found = waits().find(number);
    if (found == waits().end()) return;
    const std::unique_ptr<PromiseWait> self(found->second);
    if (fulfilled) {
      detail::OperationAccess::emplace<JsValue>(self->detach<FutureBase>(), std::move(value));
    } else {
      self->fail_pending(std::make_exception_ptr(JsError(std::move(value))));
    }
    self->loop_.arrange_turn();
  }

  PromiseWait(const PromiseWait&) = delete;
  PromiseWait& operator=(const PromiseWait&) = delete;
  ~PromiseWait() { waits().erase(number_); }

 private:
  PromiseWait() : OperationBase(&kHooks) { loop_.add_closer(*this); }

  static std::unordered_map<unsigned, PromiseWait*>& waits() {
    static std::unordered_map<unsigned, PromiseWait*> all;
    return all;
  }

  void on_loop_close() noexcept override {
    fail_pending(Errc::loop_closed);
    delete this;
  }
  static void on_dropped(OperationBase& operation) noexcept { delete &static_cast<PromiseWait&>(operation); }
  static constexpr Hooks kHooks{&PromiseWait::on_dropped, nullptr};

  static inline unsigned last_number_ = 0;
  const unsigned number_ = ++last_number_;
  IOLoop& loop_ = IOLoop::current();
};

}  // namespace

JsError::JsError(val thrown) : Error(Errc::io, text_of(thrown)), thrown_(std::move(thrown)) {}

Future<JsValue> from_promise(const val& promise) { return PromiseWait::start(promise); }

namespace detail {

Deferred::Deferred() : object_(val::take_ownership(twinloop_make_deferred())) {}

void Deferred::resolve(const val& value) {
  pending_ = false;
  object_.call<void>("resolve", value);
}

void Deferred::reject(const Failure& failure) {
  pending_ = false;
  try {
    if (failure.exception()) std::rethrow_exception(failure.exception());
  } catch (const JsError& error) {
    object_.call<void>("reject", error.thrown());
    return;
  } catch (...) {  // any other has only its text
  }
  twinloop_reject(object_.as_handle(), std::string(name(reason_of(failure.code()))).c_str(), failure.message().c_str());
}

}  // namespace detail
}  // namespace twinloop

extern "C" EMSCRIPTEN_KEEPALIVE void twinloop_promise_settled(unsigned number, int fulfilled,
                                                              emscripten::EM_VAL value) noexcept {
  twinloop::PromiseWait::settled(number, fulfilled != 0, emscripten::val::take_ownership(value));
}
