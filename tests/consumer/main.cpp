#include <twinloop/ioloop.h>

#include <cstdio>

int main() {
  std::puts("consumer: ok");
}
