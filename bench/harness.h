// The house of the benchmarks.  A benchmark program describes experiments and runs them as one Suite: the columns are the
// contestants, twinloop first and its peers behind it, the rows are figures.  The suite prints a table and, with --json FILE,
// writes the same as data.
//
// Absolute figures say little about another machine, and on a busy one little about the next minute.  So contestants take turns
// (A B C, C B A, …), and what is compared is the median of the ratios of the rounds, shown with the least and the greatest.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench/keep.h"

namespace bench {

enum class Better { lower, higher };

// A row of the table.
struct Figure {
  std::string name;
  std::string unit;
  Better better = Better::lower;
};

// A column's part in one experiment: one run gives one value a figure, in their order.
struct Contestant {
  std::string name;
  std::function<std::vector<double>()> run;
};

enum class How {
  rounds,       // for times: a run to warm up, then one a round
  own_process,  // for what is exact (instructions, bytes, system calls): once, in a process that has done nothing else
};

class Suite {
 public:
  Suite(std::string name, int argc, char** argv);
  // Reads the command line: --json FILE, --only REGEX (experiments with a figure of such a name), --smoke (one small round, to see
  // that all of it works), --emulated (in a machine whose clocks count instructions, so that one round tells all).  A wrong one
  // ends the program with a message.

  std::size_t count(std::size_t full, std::size_t smoke) const noexcept { return smoke_ ? smoke : full; }
  bool smoke() const noexcept { return smoke_; }

  void peer(std::string name, std::string version);
  // A column behind ours, in the order of the calls; the version, if it has one, is for the record.

  void add(std::vector<Figure> figures, std::vector<Contestant> contestants, How how = How::rounds);
  // The first contestant is ours, the others are peers.  One that has nothing of the kind is left out; its cell stays empty.

  int run();
  // Measures, prints and writes.  The exit status of the program.

 private:
  using Values = std::vector<double>;

  struct Experiment {
    std::vector<Figure> figures;
    std::vector<Contestant> contestants;
    How how;
    std::vector<std::vector<Values>> rounds{};  // [round][contestant][figure]
  };

  struct Cell {
    bool present = false;
    double value = 0;
    double ratio = 0, ratio_min = 0, ratio_max = 0;  // ours / this; all 0 where there is none
  };

  struct Row {
    Figure figure;
    double ours = 0, ours_min = 0, ours_max = 0;
    std::vector<Cell> peers{};  // one each of peers_
  };

  std::size_t rounds() const noexcept;
  void measure(Experiment& experiment) const;
  void collect(const Experiment& experiment);
  Row row_of(const Experiment& experiment, std::size_t figure) const;
  void print() const;
  void write_json() const;

  std::string name_;
  std::string json_;
  std::string only_;
  bool smoke_ = false;
  bool emulated_ = false;
  std::vector<Experiment> experiments_;
  std::vector<std::string> peers_;
  std::vector<std::pair<std::string, std::string>> versions_;
  std::vector<Row> rows_;
};

// Processor time of the calling thread: what other programs do meanwhile does not count.
class CpuTime {
 public:
  CpuTime() noexcept : begin_(now()) {}
  double nanoseconds() const noexcept { return now() - begin_; }

 private:
  static double now() noexcept;
  double begin_;
};

// For what waits: wake-ups between threads.
class WallTime {
 public:
  double nanoseconds() const noexcept {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

inline double each(double total, std::size_t count) noexcept { return total / static_cast<double>(count); }

std::string with_separators(std::size_t number);
// 1,000,000

}  // namespace bench
