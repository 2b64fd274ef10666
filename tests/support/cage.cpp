#include "tests/support/cage.hpp"

#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace runledger::test {

namespace {

/// By name: what libseccomp does not know on this architecture is not there either.
constexpr std::array never_allowed{
    // The network, and what stands for it.
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "io_uring_setup",
    "io_uring_enter", "io_uring_register",
    // Other programs and processes. clone and clone3 have rules of their own.
    "execve", "fork", "vfork", "ptrace", "process_vm_writev", "pidfd_getfd",
    // What Landlock does not see: rights, owners, times, attributes.
    "fchmodat", "fchmodat2", "chown", "lchown", "fchownat", "utime", "utimes", "futimesat",
    "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
    "fremovexattr",
    // Around all rules.
    "open_by_handle_at", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
    "mount_setattr", "fsopen", "fsmount", "unshare", "setns", "bpf", "keyctl", "add_key"};

constexpr std::array never_without_folder{
    "chmod",    "fchmod",          "fchown",    "creat",     "openat2",  "rename",
    "renameat", "renameat2",       "link",      "linkat",    "symlink",  "symlinkat",
    "unlink",   "unlinkat",        "mkdir",     "mkdirat",   "rmdir",    "mknod",
    "mknodat",  "truncate",        "ftruncate", "fallocate", "pwrite64", "pwritev",
    "pwritev2", "copy_file_range", "sendfile",  "splice",    "tee",      "vmsplice"};

constexpr int program_fd = 500;

struct release_filter {
  void operator()(void* context) const { seccomp_release(context); }
};

class filter_builder {
public:
  filter_builder() : context_(seccomp_init(SCMP_ACT_ALLOW)) {
    if (!context_)
      throw std::runtime_error("libseccomp gave no context");
  }

  template <std::size_t N>
  void kill(const std::array<const char*, N>& names) {
    for (const char* name : names)
      if (const int number = seccomp_syscall_resolve_name(name); number != __NR_SCMP_ERROR)
        check(seccomp_rule_add(context_.get(), SCMP_ACT_KILL_PROCESS, number, 0));
  }
  void kill_if(int number, scmp_arg_cmp argument) {
    check(seccomp_rule_add(context_.get(), SCMP_ACT_KILL_PROCESS, number, 1, argument));
  }
  /// The call is not made; the program hears this errno, or with 0 that all went well.
  void answer(int number, int with_errno) {
    check(seccomp_rule_add(context_.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(with_errno)),
                           number, 0));
  }

  /// The program as the kernel takes it.
  std::vector<sock_filter> program() const {
    const int file = ::memfd_create("filter", MFD_CLOEXEC);
    check(file < 0 ? -errno : seccomp_export_bpf(context_.get(), file));
    std::vector<sock_filter> out(static_cast<std::size_t>(::lseek(file, 0, SEEK_END))
                                 / sizeof(sock_filter));
    const auto bytes = out.size() * sizeof(sock_filter);
    const bool whole = ::pread(file, out.data(), bytes, 0) == static_cast<ssize_t>(bytes);
    ::close(file);
    check(whole ? 0 : -EIO);
    return out;
  }

private:
  static void check(int e) {
    if (e != 0 && e != -EDOM)
      throw std::runtime_error(std::string{"seccomp: "} + std::strerror(-e));
  }
  std::unique_ptr<void, release_filter> context_;
};

/// Opens that could change or make a file. The flags are the low half of an argument.
void kill_writing_opens(filter_builder& filter, int number, unsigned argument) {
  constexpr scmp_datum_t low = 0xFFFFFFFF;
  const auto flags = [&](scmp_datum_t mask, scmp_datum_t value) {
    filter.kill_if(number, scmp_arg_cmp{argument, SCMP_CMP_MASKED_EQ, mask & low, value});
  };
  flags(O_ACCMODE, O_WRONLY);
  flags(O_ACCMODE, O_RDWR);
  for (const scmp_datum_t bit : {O_CREAT, O_TRUNC})
    flags(bit, bit);
}

std::vector<sock_filter> filter_for(const cage& rules) {
  filter_builder filter;
  filter.kill(never_allowed);
  filter.kill_if(SCMP_SYS(execveat), SCMP_A0(SCMP_CMP_NE, program_fd));
  filter.kill_if(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  filter.answer(SCMP_SYS(clone3), ENOSYS); // Its flags cannot be seen; libc then uses clone.
  if (!rules.writable.empty()) {
    for (const int number : {SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchown)})
      filter.answer(number, 0);
    return filter.program();
  }
  filter.kill(never_without_folder);
  kill_writing_opens(filter, SCMP_SYS(open), 1);
  kill_writing_opens(filter, SCMP_SYS(openat), 2);
  for (const int number : {SCMP_SYS(write), SCMP_SYS(writev)})
    filter.kill_if(number, SCMP_A0(SCMP_CMP_GT, STDERR_FILENO));
  return filter.program();
}

// -- Landlock: Debian 12's header knows less than later kernels ----------------------------------

constexpr std::uint64_t access_truncate = 1U << 14; // LANDLOCK_ACCESS_FS_TRUNCATE, version 3.

int landlock_version() {
  return static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

/// A ruleset that allows changes below one folder alone. -1: none.
int landlock_for(const std::string& writable) {
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR
                              | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR
                              | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG
                              | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO
                              | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  if (landlock_version() >= 3)
    handled.handled_access_fs |= access_truncate;
  const auto set =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0));
  landlock_path_beneath_attr below{};
  below.allowed_access = handled.handled_access_fs;
  below.parent_fd = ::open(writable.c_str(), O_PATH | O_CLOEXEC);
  const bool made =
      set >= 0 && below.parent_fd >= 0
      && ::syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0;
  if (below.parent_fd >= 0)
    ::close(below.parent_fd);
  return made ? set : -1;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& text : texts)
    out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// In the child: nothing but system calls.
struct child_plan {
  const char* program;
  char* const* words;
  char* const* environment;
  int out, error, ruleset;
  sock_fprog filter;

  [[noreturn]] void run() const {
    constexpr int failed = 97;
    const int file = ::open(program, O_RDONLY | O_CLOEXEC);
    if (file < 0 || ::dup3(file, program_fd, O_CLOEXEC) < 0 || ::dup2(out, STDOUT_FILENO) < 0
        || ::dup2(error, STDERR_FILENO) < 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
      ::_exit(failed);
    if (ruleset >= 0 && ::syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
      ::_exit(failed);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
      ::_exit(failed);
    ::syscall(SYS_execveat, static_cast<long>(program_fd), "", words, environment, AT_EMPTY_PATH);
    ::_exit(failed);
  }
};

int open_output(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

} // namespace

bool has_landlock() {
  return landlock_version() >= 1;
}

caged_end run_in_cage(const cage& rules, std::vector<std::string> words,
                      std::vector<std::string> environment) {
  const temp_folder outputs;
  const auto arguments = pointers(words), variables = pointers(environment);
  auto filter = filter_for(rules);
  const int ruleset = rules.writable.empty() ? -1 : landlock_for(rules.writable);
  if (!rules.writable.empty() && ruleset < 0)
    throw std::runtime_error(std::string{"Landlock: "} + std::strerror(errno));
  const child_plan plan{words.at(0).c_str(),
                        arguments.data(),
                        variables.data(),
                        open_output(outputs / "out"),
                        open_output(outputs / "error"),
                        ruleset,
                        {static_cast<unsigned short>(filter.size()), filter.data()}};
  const auto child = ::fork();
  if (child == 0)
    plan.run();
  int status = 0;
  ::waitpid(child, &status, 0);
  for (const int file : {plan.out, plan.error, ruleset})
    if (file >= 0)
      ::close(file);
  caged_end end;
  if (WIFSIGNALED(status))
    end.signal = WTERMSIG(status);
  else
    end.exit_code = WEXITSTATUS(status);
  end.out = read_whole_file(outputs / "out");
  end.error = read_whole_file(outputs / "error");
  return end;
}

} // namespace runledger::test
