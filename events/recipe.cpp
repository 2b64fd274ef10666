#include "events/recipe.hpp"

#include "events/queue.hpp"

#include <algorithm>
#include <cmath>

namespace runledger {

namespace {

using path = std::vector<std::string>;

/// Reads members of one object, and collects what is wrong with them.
class recipe_reader {
public:
  recipe_reader(json::value object, path where, std::vector<recipe_problem>& problems)
      : object_(object), where_(std::move(where)), problems_(problems) {}

  void complain(const std::string& name, std::string message, std::string type) {
    auto at = where_;
    if (!name.empty())
      at.push_back(name);
    problems_.push_back({std::move(at), std::move(message), std::move(type)});
  }

  std::optional<json::value> find(const std::string& name) const {
    auto v = object_.find(name);
    return v && !v->is_null() ? v : std::nullopt;
  }

  void text(const std::string& name, std::string& out) {
    auto v = find(name);
    if (!v)
      return;
    if (v->is_string())
      out = v->string();
    else
      complain(name, "A string is expected.", "string_type");
  }

  void truth(const std::string& name, bool& out) {
    auto v = find(name);
    if (!v)
      return;
    if (v->is_boolean())
      out = v->boolean();
    else
      complain(name, "true or false is expected.", "bool_type");
  }

  void integer(const std::string& name, std::int64_t& out, std::int64_t least, std::int64_t most) {
    auto v = find(name);
    if (!v)
      return;
    auto n = v->integer();
    if (!n)
      complain(name, "A whole number is expected.", "int_type");
    else if (*n < least || *n > most)
      complain(name,
               "From " + std::to_string(least) + " to " + std::to_string(most) + " is possible.",
               "out_of_range");
    else
      out = *n;
  }

  /// A number with a fraction, times `scale`, rounded.
  void scaled(const std::string& name, std::int64_t& out, double scale, double least, double most) {
    auto v = find(name);
    if (!v)
      return;
    if (!v->is_number())
      complain(name, "A number is expected.", "number_type");
    else if (v->real() < least || v->real() > most)
      complain(name, "The number is out of range.", "out_of_range");
    else
      out = std::llround(v->real() * scale);
  }

  std::optional<recipe_reader> object(const std::string& name) {
    auto v = find(name);
    if (!v)
      return std::nullopt;
    if (!v->is_object()) {
      complain(name, "An object is expected.", "object_type");
      return std::nullopt;
    }
    auto at = where_;
    at.push_back(name);
    return recipe_reader{*v, std::move(at), problems_};
  }

  std::vector<json::value> array(const std::string& name) {
    std::vector<json::value> out;
    auto v = find(name);
    if (!v)
      return out;
    if (!v->is_array()) {
      complain(name, "An array is expected.", "array_type");
      return out;
    }
    for (auto item : v->children())
      out.push_back(item);
    return out;
  }

  json::value value() const { return object_; }

private:
  json::value object_;
  path where_;
  std::vector<recipe_problem>& problems_;
};

constexpr std::int64_t day_seconds = 86'400;
constexpr std::size_t files_bytes_max = 1024 * 1024;

bool plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '/' || name.back() == '/')
    return false;
  for (std::size_t at = 0; at <= name.size();) {
    auto slash = std::min(name.find('/', at), name.size());
    auto part = name.substr(at, slash - at);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos)
      return false;
    at = slash + 1;
  }
  return true;
}

void read_files(recipe_reader& harness, recipe& out) {
  auto files = harness.object("files");
  if (!files)
    return;
  std::size_t bytes = 0;
  for (auto item : files->value().children()) {
    std::string name{item.name()};
    if (!plain_file_name(name))
      files->complain(name, "A relative path without `.` and `..` is expected.", "bad_file_name");
    else if (!item.is_string())
      files->complain(name, "The file's text is expected.", "string_type");
    else {
      bytes += item.string().size();
      out.files.emplace_back(std::move(name), std::string{item.string()});
    }
  }
  if (bytes > files_bytes_max)
    harness.complain("files", "The files are larger than 1 MiB in all.", "too_large");
}

void read_mounts(recipe_reader& harness, recipe& out) {
  for (auto item : harness.array("mounts")) {
    mount m;
    auto source = item.find("source"), target = item.find("target"), mode = item.find("mode");
    bool ok = source && source->is_string() && mode && mode->is_string()
              && (!target || target->is_string());
    if (!ok) {
      harness.complain("mounts", "Each mount has source, mode and perhaps target.", "bad_mount");
      continue;
    }
    m.source = source->string();
    m.target = target ? std::string{target->string()} : m.source;
    m.mode = mode->string();
    if (!m.source.starts_with('/') || !m.target.starts_with('/')
        || (m.mode != "ro" && m.mode != "rw"))
      harness.complain("mounts", "Paths are absolute and mode is `ro` or `rw`.", "bad_mount");
    out.mounts.push_back(std::move(m));
  }
}

void read_process(recipe_reader& harness, recipe& out) {
  for (auto item : harness.array("command")) {
    if (item.is_string() && item.string().find('\0') == std::string_view::npos)
      out.command.emplace_back(item.string());
    else
      harness.complain("command", "Each argument is a string without NUL.", "string_type");
  }
  if (out.command.empty() || out.command.front().empty())
    harness.complain("command", "The program to start is missing.", "missing");
  read_files(harness, out);
  read_mounts(harness, out);
  harness.truth("network", out.network);
  harness.text("sandbox", out.sandbox);
  if (out.sandbox != "required" && out.sandbox != "best_effort" && out.sandbox != "none")
    harness.complain("sandbox", "`required`, `best_effort` or `none` is possible.", "enum");
  if (auto r = harness.object("resources")) {
    r->integer("memory_mb", out.resources.memory_mb, 16, 1 << 20);
    r->integer("processes", out.resources.processes, 1, 100'000);
    r->integer("disk_mb", out.resources.disk_mb, 1, 1 << 20);
    if (r->find("cpu_seconds")) {
      std::int64_t seconds = 1;
      r->integer("cpu_seconds", seconds, 1, 365 * day_seconds);
      out.resources.cpu_seconds = seconds;
    }
  }
  if (auto p = harness.object("pool")) {
    out.pool.emplace();
    p->integer("max_processes", out.pool->max_processes, 1, 1024);
    p->integer("max_runs_per_process", out.pool->max_runs_per_process, 1, 100'000);
  }
}

void read_worker(recipe_reader& harness, recipe& out) {
  if (!harness.find("queue"))
    return harness.complain("queue", "The queue whose workers run it is missing.", "missing");
  harness.text("queue", out.queue);
  if (!queue::is_name(out.queue))
    harness.complain("queue", "1 to 64 letters, digits, `.`, `_` or `-` are possible.", "bad_name");
}

void read_harness(recipe_reader& top, recipe& out) {
  auto harness = top.object("harness");
  if (!harness) {
    if (!top.find("harness"))
      top.complain("harness", "The recipe has no harness.", "missing");
    return;
  }
  if (!harness->find("kind"))
    harness->complain("kind", "The harness has no kind.", "missing");
  harness->text("kind", out.harness_kind);
  std::int64_t heartbeat_s = out.heartbeat_ms / 1000, drain_s = out.drain_ms / 1000;
  harness->integer("heartbeat_seconds", heartbeat_s, 1, day_seconds);
  harness->integer("drain_seconds", drain_s, 0, day_seconds);
  out.heartbeat_ms = heartbeat_s * 1000;
  out.drain_ms = drain_s * 1000;
  if (out.harness_kind == "process")
    read_process(*harness, out);
  else if (out.harness_kind == "worker")
    read_worker(*harness, out);
  else if (out.harness_kind == "llm")
    harness->complain("kind", "Harnesses of kind `llm` are not available yet.", "not_available");
  else if (!out.harness_kind.empty())
    harness->complain("kind", "`process`, `worker` or `llm` is possible.", "enum");
}

void read_limits(recipe_reader& top, recipe& out) {
  auto limits = top.object("limits");
  if (!limits)
    return;
  if (auto v = limits->find("max_cost_usd")) {
    auto amount = v->is_number() ? parse_usd(v->raw()) : std::nullopt;
    if (amount)
      out.limits.max_cost_micro_usd = amount;
    else
      limits->complain("max_cost_usd", "An amount of dollars, 0 or more, is expected.",
                       "out_of_range");
  }
  if (limits->find("max_steps")) {
    std::int64_t steps = 1;
    limits->integer("max_steps", steps, 1, 1'000'000'000);
    out.limits.max_steps = steps;
  }
  if (limits->find("timeout_seconds")) {
    std::int64_t ms = 1000;
    limits->scaled("timeout_seconds", ms, 1000, 0.001, 365.0 * day_seconds);
    out.limits.timeout_ms = ms;
  }
}

void read_retry(recipe_reader& top, recipe& out) {
  auto retry = top.object("retry");
  if (!retry)
    return;
  retry->integer("max_attempts", out.retry.max_attempts, 1, 1000);
  retry->integer("initial_backoff_ms", out.retry.initial_backoff_ms, 0, day_seconds * 1000);
  retry->integer("max_backoff_ms", out.retry.max_backoff_ms, 0, day_seconds * 1000);
  retry->scaled("multiplier", out.retry.multiplier_milli, 1000, 1.0, 100.0);
  retry->scaled("jitter", out.retry.jitter_milli, 1000, 0.0, 1.0);
}

bool environment_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9'))
    return false;
  return std::ranges::all_of(name, [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  });
}

void read_env(recipe_reader& top, recipe& out) {
  auto env = top.object("env");
  if (!env)
    return;
  for (auto item : env->value().children()) {
    std::string name{item.name()};
    auto secret = item.find("secret");
    if (!environment_name(name) || name.starts_with("RUNLEDGER_"))
      env->complain(name, "This cannot be the name of a variable.", "bad_name");
    else if (item.is_string() && item.string().find('\0') == std::string_view::npos)
      out.env.push_back({std::move(name), std::string{item.string()}, {}});
    else if (secret && secret->is_string() && !secret->string().empty())
      out.env.push_back({std::move(name), {}, std::string{secret->string()}});
    else
      env->complain(name, "A string or {\"secret\": NAME} is expected.", "bad_value");
  }
}

} // namespace

std::int64_t backoff_ms(const retry_policy& policy, std::int64_t failures, std::uint64_t random) {
  double delay = static_cast<double>(policy.initial_backoff_ms);
  auto most = static_cast<double>(policy.max_backoff_ms);
  auto factor = static_cast<double>(policy.multiplier_milli) / 1000;
  for (std::int64_t i = 1; i < failures && delay < most; ++i)
    delay *= factor;
  auto jitter = static_cast<double>(policy.jitter_milli) / 1000;
  delay = std::min(delay, most / (1 + jitter)); // So that the longest delays are spread too.
  auto unit = static_cast<double>(random % 2'000'001) / 1'000'000 - 1; // From -1 to 1.
  return std::llround(delay * (1 + unit * jitter));
}

result<recipe, std::vector<recipe_problem>> parse_recipe(const json::value& v,
                                                         const recipe& defaults) {
  std::vector<recipe_problem> problems;
  recipe out = defaults;
  recipe_reader top{v, {}, problems};
  if (!v.is_object()) {
    top.complain({}, "The recipe is an object.", "object_type");
    return problems;
  }
  read_harness(top, out);
  if (auto schema = top.find("state_schema")) {
    if (schema->is_object() || schema->is_boolean())
      out.state_schema = schema->raw();
    else
      top.complain("state_schema", "A JSON Schema is an object.", "object_type");
  }
  read_limits(top, out);
  read_retry(top, out);
  read_env(top, out);
  top.text("description", out.description);
  if (!problems.empty())
    return problems;
  return out;
}

} // namespace runledger
