#include "bench/harness.h"

#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <regex>
#include <thread>

namespace bench {
namespace {

constexpr std::size_t kRounds = 9;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(2);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// ---- a run in a process of its own

bool write_all(int fd, const std::vector<double>& values) {
  const std::size_t size = values.size() * sizeof(double);
  return ::write(fd, values.data(), size) == static_cast<ssize_t>(size);
}

std::vector<double> in_own_process(const Contestant& contestant, std::size_t figures) {
  int ends[2];
  if (::pipe(ends) != 0) die("pipe failed");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) die("fork failed");
  if (child == 0) {
    ::close(ends[0]);
    ::_exit(write_all(ends[1], contestant.run()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::vector<double> values(figures);
  const auto size = static_cast<ssize_t>(figures * sizeof(double));
  const bool complete = ::read(ends[0], values.data(), static_cast<std::size_t>(size)) == size;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!complete || status != 0) die("a measurement of " + contestant.name + " failed in its process");
  return values;
}

// ---- facts about the machine

std::string processor() {
  std::ifstream facts("/proc/cpuinfo");
  for (std::string line; std::getline(facts, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  utsname system{};
  ::uname(&system);
  return system.machine;
}

std::string kernel() {
  utsname system{};
  ::uname(&system);
  return std::string(system.sysname) + " " + system.release;
}

std::string date() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

std::string load() {
  double average[1] = {0};
  ::getloadavg(average, 1);
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", average[0]);
  return text;
}

// ---- text

std::string decimals(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string readable(double value) {
  if (value >= 1000) return with_separators(static_cast<std::size_t>(std::llround(value)));
  if (value == std::floor(value)) return decimals(value, 0);
  return decimals(value, value < 10 ? 2 : 1);
}

std::string readable_ratio(double ratio, double least, double most) {
  if (ratio == 0) return "";
  if (least == most) return decimals(ratio, 2);
  return decimals(ratio, 2) + " (" + decimals(least, 2) + ".." + decimals(most, 2) + ")";
}

std::size_t width(const std::string& text) {  // characters, not bytes
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

using Lines = std::vector<std::vector<std::string>>;

void print_aligned(const Lines& lines, std::size_t left_columns) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths[i] - width(line[i]), ' ');
      text += i == 0 ? "" : "  ";
      text += i < left_columns ? line[i] + padding : padding + line[i];
    }
    std::printf("%s\n", text.substr(0, text.find_last_not_of(' ') + 1).c_str());
  }
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string member(const std::string& key, const std::string& value) { return quoted(key) + ": " + value; }

std::string object(const std::vector<std::string>& members) {
  std::string out;
  for (const auto& each_member : members) out += (out.empty() ? "" : ", ") + each_member;
  return "{" + out + "}";
}

}  // namespace

double CpuTime::now() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::string with_separators(std::size_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
  return text;
}

Suite::Suite(std::string name, int argc, char** argv) : name_(std::move(name)) {
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const bool has_value = i + 1 < argc;
    if (option == "--smoke") {
      smoke_ = true;
    } else if (option == "--emulated") {
      emulated_ = true;
    } else if (option == "--json" && has_value) {
      json_ = argv[++i];
    } else if (option == "--only" && has_value) {
      only_ = argv[++i];
    } else {
      die("usage: " + std::string(argv[0]) + " [--json FILE] [--only REGEX] [--smoke] [--emulated]");
    }
  }
}

void Suite::peer(std::string name, std::string version) {
  peers_.push_back(name);
  if (!version.empty()) versions_.emplace_back(std::move(name), std::move(version));
}

void Suite::add(std::vector<Figure> figures, std::vector<Contestant> contestants, How how) {
  const std::regex wanted(only_);
  const auto matches = [&](const Figure& figure) { return std::regex_search(figure.name, wanted); };
  if (std::none_of(figures.begin(), figures.end(), matches)) return;
  if (emulated_) {
    for (Figure& figure : figures) {
      if (figure.unit == "ns") figure.unit = "instructions";
    }
  }
  experiments_.push_back({std::move(figures), std::move(contestants), how});
}

// Processes of their own come first: what this one does later (free lists that filled up) must not reach them through fork.
int Suite::run() {
  for (auto& experiment : experiments_) {
    if (experiment.how == How::own_process) measure(experiment);
  }
  for (auto& experiment : experiments_) {
    if (experiment.how == How::rounds) measure(experiment);
    collect(experiment);
  }
  if (rows_.empty()) die("no figure matches '" + only_ + "'");
  print();
  if (!json_.empty()) write_json();
  return 0;
}

std::size_t Suite::rounds() const noexcept { return smoke_ || emulated_ ? 1 : kRounds; }

void Suite::measure(Experiment& experiment) const {
  const auto& contestants = experiment.contestants;
  std::fprintf(stderr, "  … %s\n", experiment.figures.front().name.c_str());
  if (experiment.how == How::own_process) {
    auto& round = experiment.rounds.emplace_back();
    for (const auto& contestant : contestants) round.push_back(in_own_process(contestant, experiment.figures.size()));
    return;
  }
  if (!smoke_) {
    for (const auto& contestant : contestants) contestant.run();
  }
  for (std::size_t i = 0; i < rounds(); ++i) {
    auto& round = experiment.rounds.emplace_back(contestants.size());
    for (std::size_t j = 0; j < contestants.size(); ++j) {
      const std::size_t turn = i % 2 == 0 ? j : contestants.size() - 1 - j;
      round[turn] = contestants[turn].run();
    }
  }
}

void Suite::collect(const Experiment& experiment) {
  for (std::size_t figure = 0; figure < experiment.figures.size(); ++figure)
    rows_.push_back(row_of(experiment, figure));
}

Suite::Row Suite::row_of(const Experiment& experiment, std::size_t figure) const {
  const auto values_of = [&](std::size_t contestant) {
    std::vector<double> values;
    values.reserve(experiment.rounds.size());
    for (const auto& round : experiment.rounds) values.push_back(round[contestant].at(figure));
    return values;
  };
  const std::vector<double> ours = values_of(0);
  Row row{experiment.figures[figure], median(ours), *std::min_element(ours.begin(), ours.end()),
          *std::max_element(ours.begin(), ours.end())};
  row.peers.resize(peers_.size());
  for (std::size_t i = 1; i < experiment.contestants.size(); ++i) {
    const auto column = std::find(peers_.begin(), peers_.end(), experiment.contestants[i].name) - peers_.begin();
    const std::vector<double> theirs = values_of(i);
    Cell& cell = row.peers[static_cast<std::size_t>(column)];
    cell = {true, median(theirs)};
    std::vector<double> ratios;
    for (std::size_t round = 0; round < ours.size(); ++round) {
      if (theirs[round] > 0) ratios.push_back(ours[round] / theirs[round]);
    }
    if (ratios.empty()) continue;
    cell.ratio = median(ratios);
    cell.ratio_min = *std::min_element(ratios.begin(), ratios.end());
    cell.ratio_max = *std::max_element(ratios.begin(), ratios.end());
  }
  return row;
}

void Suite::print() const {
  std::printf("%s; %s; %s; load %s\n", processor().c_str(), kernel().c_str(), TWINLOOP_BENCH_BUILD, load().c_str());
  Lines lines{{"", "", "twinloop"}};
  for (const auto& peer : peers_) {
    lines.front().push_back(peer);
    lines.front().push_back("ours / it");
  }
  for (const auto& row : rows_) {
    const bool higher = row.figure.better == Better::higher;
    auto& line = lines.emplace_back();
    line = {row.figure.name, row.figure.unit + (higher ? " (more is better)" : ""), readable(row.ours)};
    for (const auto& cell : row.peers) {
      line.push_back(cell.present ? readable(cell.value) : "");
      line.push_back(readable_ratio(cell.ratio, cell.ratio_min, cell.ratio_max));
    }
  }
  print_aligned(lines, 2);
}

void Suite::write_json() const {
  std::ofstream file(json_);
  std::vector<std::string> versions;
  versions.reserve(versions_.size());
  for (const auto& [library, version] : versions_) versions.push_back(member(library, quoted(version)));
  file << "{\n  " << member("benchmark", quoted(name_)) << ",\n  " << member("date", quoted(date())) << ",\n  "
       << member("rounds", number(static_cast<double>(rounds()))) << ",\n  "
       << member("machine", object({member("cpu", quoted(processor())),
                                    member("cores", number(std::thread::hardware_concurrency())),
                                    member("kernel", quoted(kernel())), member("load", load()),
                                    member("compiler", quoted(TWINLOOP_BENCH_BUILD))}))
       << ",\n  " << member("versions", object(versions)) << ",\n  \"rows\": [";
  const char* separator = "\n    ";
  for (const auto& row : rows_) {
    std::vector<std::string> peers, ratios;
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      const Cell& cell = row.peers[i];
      peers.push_back(member(peers_[i], cell.present ? number(cell.value) : "null"));
      if (cell.ratio == 0) continue;
      ratios.push_back(
          member(peers_[i], object({member("median", number(cell.ratio)), member("min", number(cell.ratio_min)),
                                    member("max", number(cell.ratio_max))})));
    }
    file << separator
         << object({member("name", quoted(row.figure.name)), member("unit", quoted(row.figure.unit)),
                    member("better", row.figure.better == Better::lower ? "\"lower\"" : "\"higher\""),
                    member("ours", number(row.ours)), member("ours_min", number(row.ours_min)),
                    member("ours_max", number(row.ours_max)), member("peers", object(peers)),
                    member("ratios", object(ratios))});
    separator = ",\n    ";
  }
  file << "\n  ]\n}\n";
  file.close();
  if (!file) die("could not write " + json_);
  std::printf("written to %s\n", json_.c_str());
}

}  // namespace bench
