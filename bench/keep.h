#pragma once

namespace bench {

template <class T>
void keep(T&& value) {
  asm volatile("" : : "g"(&value) : "memory");
}
// The optimizer must take the value for used.

}  // namespace bench
