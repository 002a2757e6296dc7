#include "twinloop/tasks.h"

namespace twinloop {

std::vector<TaskInfo> tasks_of(IOLoop& loop) {
  std::vector<TaskInfo> tasks;
  loop.for_each_task([&tasks](const detail::Task& task) { tasks.push_back({task.origin(), task.stack()}); });
  return tasks;
}

std::string describe_tasks(IOLoop& loop) {
  std::string text;
  for (const TaskInfo& task : tasks_of(loop)) {
    const std::string title = task.origin.text();
    text.append(title.empty() ? "a coroutine" : title).append("\n");
    for (const Origin& place : task.stack) {
      text.append("  ").append(place.text()).append(" ").append(place.where().function_name()).append("\n");
    }
  }
  return text;
}

}  // namespace twinloop
