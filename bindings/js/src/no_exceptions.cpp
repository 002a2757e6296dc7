// The module is compiled without exceptions (-fignore-exceptions).  Its own failures travel as Failure and need none; what the C++
// library throws, bad_alloc above all, ends the module.  So nothing is ever caught, types need no description for it, and its one
// thread does not end.
extern "C" {

[[noreturn, gnu::always_inline]] void __cxa_throw(void*, void*, void (*)(void*)) { __builtin_trap(); }

[[gnu::always_inline]] int __cxa_thread_atexit(void (*)(void*), void*, void*) { return 0; }

// The virtual tables of the three kinds of std::type_info.
extern const void* const _ZTVN10__cxxabiv117__class_type_infoE[3] = {};
extern const void* const _ZTVN10__cxxabiv120__si_class_type_infoE[3] = {};
extern const void* const _ZTVN10__cxxabiv121__vmi_class_type_infoE[3] = {};
}
