#include "actors/harness/sandbox.hpp"

#include "events/digest.hpp"
#include "events/json.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace runledger::harness {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view agent_folder = "/agent";
constexpr std::string_view mounts_note = "/etc/mounts-checked";

/// Read-only from the host's /etc. Not the folders whole: /etc/ssl, for one, holds private keys.
constexpr std::array etc_always{
    "/etc/ld.so.cache",     "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf", "/etc/ca-certificates.conf",
    "/etc/localtime",       "/etc/timezone",
    "/etc/passwd",          "/etc/group",
    "/etc/alternatives",    "/etc/nsswitch.conf",
    "/etc/mime.types",      "/etc/protocols",
    "/etc/services",        "/etc/os-release",
    "/etc/debian_version",  "/etc/python3",
    "/etc/python3.11",      "/etc/perl",
    "/etc/magic",
};
constexpr std::array etc_network{"/etc/hosts", "/etc/resolv.conf", "/etc/host.conf",
                                 "/etc/gai.conf"};

/// Arguments for --args: each ends with a NUL byte.
class argument_list {
public:
  template <class... Texts>
  argument_list& add(const Texts&... texts) {
    (append(texts), ...);
    return *this;
  }
  const std::string& text() const { return text_; }

private:
  void append(std::string_view one) {
    text_.append(one);
    text_.push_back('\0');
  }
  std::string text_;
};

std::string number(inherited fd) {
  return std::to_string(static_cast<int>(fd));
}

/// /bin and its like: a link into /usr on a merged system, else a folder.
void add_system_folders(argument_list& args) {
  args.add("--ro-bind", "/usr", "/usr");
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code error;
    auto status = fs::symlink_status(name, error);
    if (fs::is_symlink(status))
      args.add("--symlink", fs::read_symlink(name, error).string(), name);
    else if (fs::is_directory(status))
      args.add("--ro-bind", name, name);
  }
}

void add_etc(argument_list& args, bool network) {
  for (const char* path : etc_always)
    args.add("--ro-bind-try", path, path);
  if (network)
    for (const char* path : etc_network)
      args.add("--ro-bind-try", path, path);
  else
    args.add("--ro-bind-data", number(inherited::hosts), "/etc/hosts");
}

std::string bubblewrap_arguments(const process_spec& spec, const std::string& files_dir,
                                 const std::vector<checked_mount>& mounts, bool filtered) {
  argument_list args;
  args.add("--unshare-all", "--unshare-user", "--disable-userns", "--new-session",
           "--die-with-parent");
  args.add("--clearenv", "--cap-drop", "ALL", "--hostname", "sandbox");
  if (spec.network)
    args.add("--share-net");
  if (::geteuid() == 0) // Else programs take themselves for the administrator that they are not.
    args.add("--uid", "65534", "--gid", "65534");
  add_system_folders(args);
  add_etc(args, spec.network);
  auto disk = std::to_string(spec.resources.disk_mb << 20);
  args.add("--proc", "/proc", "--dev", "/dev");
  for (const char* path : {"/dev/shm", "/tmp"})
    args.add("--perms", "1777", "--size", disk, "--tmpfs", path);
  args.add("--remount-ro", "/dev");
  if (!files_dir.empty())
    args.add("--ro-bind", files_dir, agent_folder);
  for (const auto& m : mounts)
    args.add(m.writable ? "--bind" : "--ro-bind", m.source, m.target);
  if (!mounts.empty()) // It waits for the rest of this file until they have been compared.
    args.add("--file", number(inherited::mounts), mounts_note);
  if (!spec.work_dir.empty())
    args.add("--bind", spec.work_dir, spec.work_dir);
  args.add("--remount-ro", "/", "--chdir", spec.work_dir.empty() ? "/" : spec.work_dir);
  for (const auto& entry : build_environment(spec)) {
    auto equals = entry.find('=');
    args.add("--setenv", entry.substr(0, equals), entry.substr(equals + 1));
  }
  if (filtered)
    args.add("--seccomp", number(inherited::filter));
  args.add("--json-status-fd", number(inherited::status), "--block-fd", number(inherited::block));
  return args.text();
}

start_refusal refuse_start(std::string reason, std::string message) {
  return {std::move(reason), std::move(message)};
}

/// NUL bytes would end an argument early, so that the rest became an option of its own.
bool has_nul(std::string_view text) {
  return text.find('\0') != std::string_view::npos;
}

result<bool, start_refusal> check(const process_spec& spec) {
  if (spec.command.empty() || spec.command.front().empty())
    return refuse_start("start_failed", "the command is empty");
  for (const auto& argument : spec.command)
    if (has_nul(argument))
      return refuse_start("start_failed", "an argument of the command holds a NUL byte");
  for (const auto& [name, value] : spec.environment)
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name) || has_nul(value))
      return refuse_start("start_failed",
                          "a variable of the environment has no usable name or value");
  return true;
}

rlim_t clamp_to_hard(int resource, rlim_t wanted) {
  rlimit now{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &now);
  return std::min(wanted, now.rlim_max);
}

void add_limit(launch& out, int resource, rlim_t soft, rlim_t hard, const char* layer) {
  hard = clamp_to_hard(resource, hard);
  out.plan.limits.emplace_back(resource, rlimit{std::min(soft, hard), hard});
  out.layers.emplace_back(layer);
}

/// Limits that each process carries itself, whatever the control groups do.
void add_limits(launch& out, const resources& r) {
  add_limit(out, RLIMIT_CORE, 0, 0, "rlimit:core");
  add_limit(out, RLIMIT_NOFILE, 4096, 4096, "rlimit:nofile");
  add_limit(out, RLIMIT_FSIZE, r.disk_mb << 20, r.disk_mb << 20, "rlimit:fsize");
  if (r.cpu_seconds) // A second more, so that SIGXCPU tells what it was.
    add_limit(out, RLIMIT_CPU, *r.cpu_seconds, *r.cpu_seconds + 1, "rlimit:cpu");
}

std::string environment_path(const process_spec& spec) {
  for (const auto& [name, value] : spec.environment)
    if (name == "PATH")
      return value;
  return std::string{default_path};
}

/// Where a bare name is found; empty if nowhere.
std::string look_up(const std::string& name, std::string_view path) {
  if (name.find('/') != std::string::npos)
    return name;
  while (!path.empty()) {
    auto end = std::min(path.find(':'), path.size());
    auto candidate = std::string{path.substr(0, end)} + "/" + name;
    struct stat info {};
    if (end > 0 && ::stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode)
        && ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return {};
}

/// Without a mount namespace there is no /agent: arguments that name it get the folder behind it.
std::string outside_agent_folder(const std::string& argument, const std::string& files_dir) {
  bool names_it = argument == agent_folder || argument.starts_with(std::string{agent_folder} + "/");
  return names_it && !files_dir.empty() ? files_dir + argument.substr(agent_folder.size())
                                        : argument;
}

result<launch, start_refusal> direct_launch(const process_spec& spec, const sandbox_probe& probe,
                                            const std::string& files_dir) {
  launch out;
  for (const auto& argument : spec.command)
    out.plan.arguments.push_back(outside_agent_folder(argument, files_dir));
  out.plan.program = look_up(out.plan.arguments.front(), environment_path(spec));
  if (out.plan.program.empty())
    return refuse_start("start_failed", "no such command: " + spec.command.front());
  out.plan.environment = build_environment(spec);
  out.plan.directory = spec.work_dir;
  if (spec.sandbox != sandbox_mode::none && !probe.filter.empty()) {
    out.plan.filter = probe.filter;
    out.layers.emplace_back("seccomp");
  }
  add_limits(out, spec.resources);
  return out;
}

result<launch, start_refusal> bubblewrap_launch(const process_spec& spec,
                                                const sandbox_probe& probe,
                                                const std::string& bubblewrap,
                                                const std::string& files_dir,
                                                std::vector<checked_mount> mounts) {
  launch out;
  out.namespaced = true;
  out.mounts = std::move(mounts);
  out.arguments =
      memory_file(bubblewrap_arguments(spec, files_dir, out.mounts, !probe.filter.empty()));
  out.filter = memory_file(probe.filter);
  out.hosts = memory_file("127.0.0.1 localhost\n::1 localhost\n");
  if (!out.arguments || !out.filter || !out.hosts)
    return refuse_start("start_failed", "no memory file for the sandbox");
  out.plan.program = bubblewrap;
  out.plan.arguments = {"bwrap", "--args", number(inherited::arguments), "--"};
  out.plan.arguments.insert(out.plan.arguments.end(), spec.command.begin(), spec.command.end());
  out.layers.emplace_back("namespaces");
  if (!probe.filter.empty())
    out.layers.emplace_back("seccomp");
  if (!spec.network)
    out.layers.emplace_back("no-network");
  out.layers.emplace_back("tmpfs:tmp");
  add_limits(out, spec.resources);
  return out;
}

/// What a pipe holds by now, at most 4 KiB.
std::string drain(int fd) {
  std::string text(4096, '\0');
  set_nonblocking(fd);
  auto n = ::read(fd, text.data(), text.size());
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

/// What bubblewrap's --json-status-fd says first.
pid_t inner_pid_in(std::string_view status) {
  auto line = json::parse(status.substr(0, status.find('\n')));
  auto pid = line && line->root().is_object() ? line->root().find("child-pid") : std::nullopt;
  return pid && pid->is_number() ? static_cast<pid_t>(pid->integer().value_or(0)) : 0;
}

/// Runs `true` in the sandbox; the error says why that did not work.
result<bool, start_refusal> try_sandbox(const sandbox_probe& probe, const std::string& bubblewrap) {
  constexpr int patience_ms = 5000;
  process_spec spec;
  spec.command = {"true"};
  auto prepared = bubblewrap_launch(spec, probe, bubblewrap, {}, {});
  if (!prepared)
    return prepared.error();
  auto block = make_pipe();
  auto errors = make_pipe();
  auto state = make_pipe();
  unique_fd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (!block.write || !errors.write || !state.write || !null || !write_all(block.write.raw(), "1"))
    return refuse_start("sandbox_unavailable", "no pipe");
  prepared->plan.descriptors = {
      null.raw(),        null.raw(),       errors.write.raw(),     prepared->arguments.raw(),
      state.write.raw(), block.read.raw(), prepared->filter.raw(), prepared->hosts.raw()};
  auto child = spawn(prepared->plan);
  if (!child)
    return refuse_start("sandbox_unavailable", child.error());
  pollfd ended{child->pidfd.raw(), POLLIN, 0};
  bool in_time = ::poll(&ended, 1, patience_ms) == 1;
  if (!in_time)
    ::kill(child->pid, SIGKILL);
  int status = 0;
  ::waitpid(child->pid, &status, 0);
  // The first process of its namespace is now ours, if this process is the subreaper, and dying.
  if (auto inner = inner_pid_in(drain(state.read.raw())); inner > 0)
    ::waitpid(inner, nullptr, 0);
  if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return true;
  auto said = drain(errors.read.raw());
  return refuse_start("sandbox_unavailable", !in_time       ? "bubblewrap did not end in time"
                                             : said.empty() ? "bubblewrap failed"
                                                            : said);
}

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > 1024 || has_nul(name))
    return false;
  while (true) {
    auto end = std::min(name.find('/'), name.size());
    auto part = name.substr(0, end);
    if (part.empty() || part == "." || part == ".." || part.size() > 255)
      return false;
    if (end == name.size())
      return true;
    name.remove_prefix(end + 1);
  }
}

std::string digest_of(const std::vector<std::pair<std::string, std::string>>& files) {
  sha256_hasher hasher;
  for (const auto& [name, text] : files) {
    hasher.update(name);
    hasher.update(std::string_view{"\0", 1});
    hasher.update(std::to_string(text.size()) + ":");
    hasher.update(text);
  }
  return to_hex(hasher.finish());
}

bool write_files(const std::string& folder,
                 const std::vector<std::pair<std::string, std::string>>& files) {
  std::error_code error;
  for (const auto& [name, text] : files) {
    auto path = fs::path{folder} / name;
    fs::create_directories(path.parent_path(), error);
    unique_fd file{
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0555)};
    if (!file || !write_all(file.raw(), text))
      return false;
  }
  return true;
}

} // namespace

sandbox_probe probe_sandbox(const std::string& bubblewrap) {
  sandbox_probe out;
  if (auto filter = build_filter())
    out.filter = std::move(*filter);
  else
    out.filter_missing = filter.error().message;
  if (auto tried = try_sandbox(out, bubblewrap))
    out.namespaces = true;
  else
    out.namespaces_missing = tried.error().message;
  return out;
}

std::vector<std::string> build_environment(const process_spec& spec) {
  std::vector<std::pair<std::string, std::string>> all{
      {"PATH", std::string{default_path}}, {"HOME", spec.work_dir}, {"LANG", "C.UTF-8"}};
  auto set = [&](const std::string& name, const std::string& value) {
    auto it = std::find_if(all.begin(), all.end(), [&](const auto& e) { return e.first == name; });
    if (it == all.end())
      all.emplace_back(name, value);
    else
      it->second = value;
  };
  for (const auto& [name, value] : spec.environment)
    set(name, value);
  // Last, so that no recipe can make a run pass for another.
  set("RUNLEDGER_WORKDIR", spec.work_dir);
  if (!spec.run.empty()) {
    set("RUNLEDGER_RUN_ID", spec.run);
    set("RUNLEDGER_SESSION_ID", spec.session);
    set("RUNLEDGER_ATTEMPT", std::to_string(spec.attempt));
  }
  std::vector<std::string> out;
  for (const auto& [name, value] : all)
    out.push_back(name + "=" + value);
  return out;
}

result<launch, start_refusal> prepare_launch(const process_spec& spec, const sandbox_probe& probe,
                                             const std::string& bubblewrap,
                                             const std::string& files_dir) {
  if (auto fine = check(spec); !fine)
    return fine.error();
  if (spec.sandbox == sandbox_mode::required) {
    if (!probe.namespaces)
      return refuse_start("sandbox_unavailable", "no namespaces: " + probe.namespaces_missing);
    if (probe.filter.empty())
      return refuse_start("sandbox_unavailable", "no system call filter: " + probe.filter_missing);
  }
  auto mounts = check_mounts(spec.mounts, spec.mount_roots);
  if (!mounts)
    return mounts.error();
  if (spec.sandbox == sandbox_mode::none || !probe.namespaces)
    return direct_launch(spec, probe, files_dir);
  return bubblewrap_launch(spec, probe, bubblewrap, files_dir, std::move(*mounts));
}

result<std::string, start_refusal>
cache_files(const std::string& data_dir,
            const std::vector<std::pair<std::string, std::string>>& files) {
  if (files.empty())
    return std::string{};
  for (const auto& [name, text] : files)
    if (!is_plain_name(name))
      return refuse_start("start_failed", "an agent's file has no usable name");
  auto agents = data_dir + "/agents";
  auto folder = agents + "/" + digest_of(files);
  std::error_code error;
  if (fs::is_directory(folder, error))
    return folder;
  fs::create_directories(agents, error);
  auto fresh = folder + ".XXXXXX";
  if (::mkdtemp(fresh.data()) == nullptr)
    return refuse_start("start_failed", "agents/: " + std::string{std::strerror(errno)});
  bool written = write_files(fresh, files) && ::chmod(fresh.c_str(), 0755) == 0;
  if (written && ::rename(fresh.c_str(), folder.c_str()) == 0)
    return folder;
  auto why = std::string{std::strerror(errno)};
  fs::remove_all(fresh, error);
  if (fs::is_directory(folder, error)) // Somebody else was faster.
    return folder;
  return refuse_start("start_failed", "the agent's files could not be written: " + why);
}

result<bool, start_refusal> prepare_work_dir(const std::string& work_dir) {
  if (!work_dir.starts_with('/') || has_nul(work_dir))
    return refuse_start("start_failed", "the work folder is not an absolute path");
  std::error_code error;
  fs::create_directories(fs::path{work_dir}.parent_path(), error);
  if (::mkdir(work_dir.c_str(), 0700) != 0 && errno != EEXIST)
    return refuse_start("start_failed", "work folder " + work_dir + ": " + std::strerror(errno));
  unique_fd folder{::open(work_dir.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!folder)
    return refuse_start("start_failed", "work folder " + work_dir + ": " + std::strerror(errno));
  return true;
}

} // namespace runledger::harness
