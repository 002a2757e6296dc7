// The queue of a stream's unsent bytes against a plain string.
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <random>
#include <string>

#include "buffers.h"

using namespace twinloop;
using namespace twinloop::detail;

namespace {

std::string some_bytes(std::mt19937& random) {
  std::string bytes(random() % 3 == 0 ? random() % 9000 : random() % 300, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

void put_one(OutputQueue& queue, std::string& model, std::mt19937& random) {
  std::string bytes = some_bytes(random);
  model += bytes;
  switch (random() % 3) {
    case 0:
      return queue.append(std::string_view(bytes));
    case 1:
      return queue.append(std::move(bytes));
    default:
      return queue.append(std::make_shared<const std::string>(std::move(bytes)));
  }
}

// Often all of it at once.
void take_some(OutputQueue& queue, std::string& model, std::mt19937& random) {
  const std::size_t count = random() % 4 == 0 ? queue.size() : random() % (queue.size() + 1);
  queue.consume(count);
  model.erase(0, count);
}

bool agrees(const OutputQueue& queue, const std::string& model) {
  std::array<ConstBytes, 16> pieces;
  std::string front;
  const std::size_t count = queue.gather(pieces);
  for (std::size_t i = 0; i < count; ++i) {
    front.append(reinterpret_cast<const char*>(pieces[i].data()), pieces[i].size());
  }
  const bool whole = count < pieces.size() ? front == model : model.starts_with(front);
  return whole && queue.size() == model.size();
}

}  // namespace

TEST_CASE("what waits to be sent agrees with its model however it was put and taken") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    OutputQueue queue;
    std::string model;
    for (int step = 0; step < 60; ++step) {
      random() % 2 == 0 ? put_one(queue, model, random) : take_some(queue, model, random);
      INFO("seed " << seed << ", step " << step);
      REQUIRE(agrees(queue, model));
    }
  }
}
