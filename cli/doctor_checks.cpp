#include "cli/doctor_checks.hpp"

#include "cli/cluster_node.hpp"
#include "events/time.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <linux/magic.h>
#include <sched.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace runledger::cli {

namespace fs = std::filesystem;

namespace {

fs::path whole_path(const fs::path& path) {
  std::error_code ec;
  return fs::absolute(path, ec).lexically_normal();
}

/// The folder itself, or the nearest one above it that exists.
fs::path existing_folder(const fs::path& data) {
  std::error_code ec;
  auto folder = whole_path(data);
  while (!fs::exists(folder, ec) && folder.has_relative_path())
    folder = folder.parent_path();
  return folder;
}

struct outcome {
  int exit_code = -1; // -1: the program could not be started.
  std::string output;
};

/// Runs a program without a shell; its stdout comes back, its stderr is dropped.
outcome run_program(std::vector<std::string> words) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0)
    return {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int failed = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  outcome done;
  std::array<char, 512> piece;
  for (ssize_t n = 0; !failed && (n = ::read(pipe_ends[0], piece.data(), piece.size())) > 0;)
    done.output.append(piece.data(), static_cast<std::size_t>(n));
  ::close(pipe_ends[0]);
  int status = 0;
  if (!failed && ::waitpid(child, &status, 0) == child && WIFEXITED(status))
    done.exit_code = WEXITSTATUS(status);
  return done;
}

/// File systems that do not keep what they acknowledge, or on which SQLite's shared memory does not
/// work.
struct file_system {
  long magic;
  std::string_view name;
  health state;
  std::string_view advice;
};
constexpr std::string_view needs_disk = "Use a folder on a local disk.";
constexpr std::array file_systems{
    file_system{TMPFS_MAGIC, "tmpfs", health::warn,
                "It lives in memory: the ledger is gone when the machine stops."},
    file_system{RAMFS_MAGIC, "ramfs", health::warn,
                "It lives in memory: the ledger is gone when the machine stops."},
    file_system{OVERLAYFS_SUPER_MAGIC, "overlayfs", health::warn,
                "It is a container's own layer and goes with the container: mount a volume."},
    file_system{NFS_SUPER_MAGIC, "NFS", health::fail, needs_disk},
    file_system{static_cast<long>(SMB2_SUPER_MAGIC), "SMB", health::fail, needs_disk},
    file_system{static_cast<long>(CIFS_SUPER_MAGIC), "CIFS", health::fail, needs_disk},
    file_system{V9FS_MAGIC, "9p", health::fail, needs_disk},
    file_system{FUSE_SUPER_MAGIC, "FUSE", health::warn,
                "Whether it keeps what it acknowledges is up to its program."},
};

/// How long one 4 KiB append with fdatasync takes; a negative time where it failed.
std::chrono::microseconds append_time(const fs::path& folder) {
  auto name = (folder / ".doctor.XXXXXX").string();
  const int file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0)
    return std::chrono::microseconds{-1};
  const std::array<char, 4096> block{};
  const auto begin = std::chrono::steady_clock::now();
  const bool good =
      ::write(file, block.data(), block.size()) == ssize_t{block.size()} && ::fdatasync(file) == 0;
  const auto spent = std::chrono::steady_clock::now() - begin;
  ::close(file);
  ::unlink(name.c_str());
  return good ? std::chrono::duration_cast<std::chrono::microseconds>(spent)
              : std::chrono::microseconds{-1};
}

std::string kernel_line(const char* path) {
  std::ifstream in{path};
  std::string line;
  std::getline(in, line);
  return line;
}

} // namespace

std::string_view to_string(health state) {
  switch (state) {
    case health::ok:
      return "ok";
    case health::warn:
      return "warn";
    case health::fail:
      return "fail";
  }
  return "fail";
}

finding check_data_folder(const fs::path& data) {
  const auto folder = existing_folder(data);
  const std::string name = "data folder";
  std::error_code ec;
  if (!fs::is_directory(folder, ec))
    return {name, health::fail, fmt::format("{} is no folder", folder.string()),
            "Name another with --data."};
  const auto spent = append_time(folder);
  if (spent.count() < 0)
    return {name, health::fail,
            fmt::format("{} cannot be written: {}", folder.string(), std::strerror(errno)),
            "Give this user the right to write there, or name another folder with --data."};
  struct statfs where {};
  if (::statfs(folder.c_str(), &where) == 0)
    for (const auto& known : file_systems)
      if (where.f_type == known.magic)
        return {name, known.state, fmt::format("{} is on {}", folder.string(), known.name),
                std::string{known.advice}};
  const auto ms = static_cast<double>(spent.count()) / 1000;
  if (ms > 50)
    return {name, health::warn, fmt::format("{}: an append takes {:.1f} ms", folder.string(), ms),
            "Every answer waits for one: a faster disk makes a faster server."};
  return {name, health::ok,
          fmt::format("{}{}, an append takes {:.2f} ms", whole_path(data).string(),
                      folder == whole_path(data) ? "" : " (made at the first start)", ms),
          ""};
}

finding check_free_disk(const fs::path& data) {
  struct statvfs disk {};
  const auto folder = existing_folder(data);
  if (::statvfs(folder.c_str(), &disk) != 0)
    return {"free disk", health::fail, fmt::format("{}: {}", folder.string(), std::strerror(errno)),
            ""};
  const auto mib = disk.f_bavail * disk.f_frsize >> 20;
  const auto detail = fmt::format("{} MiB free", mib);
  if (mib < 100)
    return {"free disk", health::fail, detail, "Make room: without it every write is refused."};
  if (mib < 1024)
    return {"free disk", health::warn, detail, "Make room before it is full."};
  return {"free disk", health::ok, detail, ""};
}

finding check_key_file(const fs::path& data) {
  const auto path = data / "admin.key";
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0)
    return {"admin key", errno == ENOENT ? health::ok : health::warn,
            errno == ENOENT ? fmt::format("{} is made at the first start", path.string())
                            : fmt::format("{}: {}", path.string(), std::strerror(errno)),
            ""};
  const auto mode = file.st_mode & 0777U;
  if (mode & 077U)
    return {
        "admin key", health::fail,
        fmt::format("others can read {} (mode {:04o})", path.string(), mode),
        fmt::format("chmod 600 {}, and revoke the key if others use this machine.", path.string())};
  return {"admin key", health::ok, fmt::format("{} is readable for its owner alone", path.string()),
          ""};
}

finding check_cluster_secret(const std::string& path) {
  try {
    read_cluster_secret(path);
  } catch (const std::runtime_error& why) {
    return {"cluster secret", health::fail, why.what(), "The nodes would not start."};
  }
  return {"cluster secret", health::ok, fmt::format("{} is private and long enough", path), ""};
}

std::optional<finding> strangers_in(std::string_view metrics) {
  constexpr std::string_view name = "\nrunledger_cluster_strangers ";
  const auto at = metrics.find(name);
  if (at == metrics.npos)
    return std::nullopt;
  const auto count = std::strtoul(metrics.data() + at + name.size(), nullptr, 10);
  if (count == 0)
    return finding{"cluster", health::ok, "all members of the group prove the secret", ""};
  return finding{"cluster", health::fail,
                 fmt::format("{} members of the group do not prove this node's secret", count),
                 "kafka.cluster_secret_file must have the same text on all nodes; the server's log "
                 "names them."};
}

finding check_bubblewrap() {
  const auto version = run_program({"bwrap", "--version"});
  if (version.exit_code != 0)
    return {"bubblewrap", health::fail, "bwrap is not installed",
            "apt-get install bubblewrap: without it no agent runs in a sandbox."};
  const auto name = version.output.substr(0, version.output.find('\n'));
  const auto tried =
      run_program({"bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--new-session",
                   "--die-with-parent", "--cap-drop", "ALL", "--ro-bind", "/", "/", "--proc",
                   "/proc", "--dev", "/dev", "true"});
  if (tried.exit_code != 0)
    return {"bubblewrap", health::fail, fmt::format("{} cannot make a sandbox here", name),
            "In a container, allow user namespaces (such as --security-opt seccomp=unconfined "
            "--security-opt "
            "systempaths=unconfined); it needs bubblewrap 0.8 or newer."};
  return {"bubblewrap", health::ok, fmt::format("{} makes sandboxes", name), ""};
}

finding check_user_namespaces() {
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(::unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
  int status = 0;
  const bool allowed = child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status)
                       && WEXITSTATUS(status) == 0;
  if (allowed)
    return {"user namespaces", health::ok, "allowed", ""};
  return {"user namespaces", health::fail, "not allowed for this user",
          "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000, or in a "
          "container a seccomp "
          "profile that allows them."};
}

finding check_seccomp() {
  const auto actions = kernel_line("/proc/sys/kernel/seccomp/actions_avail");
  if (actions.find("errno") == std::string::npos)
    return {"seccomp", health::warn, "the kernel has no system call filter",
            "Agents run without that layer: recipes with a required sandbox are refused."};
  return {"seccomp", health::ok, "the kernel filters system calls", ""};
}

finding check_cgroups() {
  const auto controllers = kernel_line("/sys/fs/cgroup/cgroup.controllers");
  const bool v2 = controllers.find("memory") != std::string::npos
                  && controllers.find("pids") != std::string::npos;
  if (v2 && ::access("/sys/fs/cgroup", W_OK) == 0)
    return {"cgroups", health::ok, fmt::format("version 2 ({})", controllers), ""};
  if (::access("/sys/fs/cgroup/memory", W_OK) == 0)
    return {"cgroups", health::ok, "version 1", ""};
  return {"cgroups", health::warn,
          v2 ? "version 2, not writable for this user" : "no usable controllers",
          "Limits fall back to rlimits, which hold per process."};
}

finding check_file_limit() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const auto detail = fmt::format("{} (at most {})", files.rlim_cur, files.rlim_max);
  constexpr rlim_t wanted = 16'384; // http.max_connections, harnesses, files.
  if (files.rlim_max < wanted)
    return {"open files", health::warn, detail,
            "10,000 connections need more: ulimit -n 65536, or LimitNOFILE= in the service."};
  return {"open files", health::ok, detail, ""};
}

finding check_sqlite() {
  const auto detail = fmt::format("{}", ::sqlite3_libversion());
  if (::sqlite3_libversion_number() < 3'037'000)
    return {"SQLite", health::fail, detail, "Strict tables need 3.37 or newer."};
  if (::sqlite3_threadsafe() == 0)
    return {"SQLite", health::fail, detail + ", built without threads",
            "Install Debian's libsqlite3-0."};
  return {"SQLite", health::ok, detail, ""};
}

finding check_clock() {
  const auto now = system_wall_clock{}.now();
  const auto shown = to_rfc3339(now);
  constexpr std::int64_t year_2024 = 1'704'067'200'000, year_2100 = 4'102'444'800'000;
  if (to_ms(now) < year_2024 || to_ms(now) > year_2100)
    return {"clock", health::fail, shown, "Set the clock: times of events and of keys rest on it."};
  timex state{};
  if (::adjtimex(&state) == TIME_ERROR)
    return {"clock", health::warn, shown + ", not synchronised",
            "Run a time service, such as systemd-timesyncd."};
  return {"clock", health::ok, shown + ", synchronised", ""};
}

} // namespace runledger::cli
