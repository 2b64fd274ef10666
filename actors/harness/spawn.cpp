#include "actors/harness/spawn.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace runledger::harness {

namespace {

constexpr std::size_t stack_bytes = 256 << 10;
constexpr std::size_t max_descriptors = 16;

/// What the child reads and where it says why it failed: it lives in the parent's memory.
struct child_view {
  const char* program;
  char* const* argv;
  char* const* envp;
  const spawn_plan* plan;
  sock_fprog filter;
  pid_t parent;
  const char* failed_at = nullptr;
  int failure = 0;
};

// The child runs in memory that it shares with all threads of the server: system calls only, no
// allocation.

[[noreturn]] void give_up(child_view& view, const char* where) {
  view.failure = errno;
  view.failed_at = where;
  ::_exit(127);
}

void reset_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal)
    ::sigaction(signal, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void enter_cgroups(child_view& view) {
  for (const auto& path : view.plan->cgroup_procs) {
    int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "0", 1) != 1)
      give_up(view, "entering the cgroup");
    ::close(fd);
  }
}

void place_descriptors(child_view& view) {
  const auto& wanted = view.plan->descriptors;
  std::array<int, max_descriptors> copies;
  auto n = static_cast<int>(wanted.size());
  // First copies above the places to fill, so that no source is overwritten.
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if ((copies[i] = ::fcntl(wanted[i], F_DUPFD, n)) < 0)
      give_up(view, "preparing descriptors");
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (::dup2(copies[i], static_cast<int>(i)) < 0)
      give_up(view, "placing descriptors");
  ::syscall(SYS_close_range, n, ~0U, 0);
}

int run_child(void* argument) {
  auto& view = *static_cast<child_view*>(argument);
  reset_signals();
  ::setsid();
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != view.parent)
    give_up(view, "binding to the server's life");
  enter_cgroups(view);
  place_descriptors(view);
  for (const auto& [resource, limit] : view.plan->limits)
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
      give_up(view, "setting a resource limit");
  if (!view.plan->directory.empty() && ::chdir(view.plan->directory.c_str()) != 0)
    give_up(view, "entering the work folder");
  if (view.filter.len > 0
      && (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
          || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &view.filter) != 0))
    give_up(view, "loading the system call filter");
  ::execve(view.program, view.argv, view.envp);
  give_up(view, "executing");
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const auto& text : texts)
    out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

struct unmap_stack {
  void operator()(void* stack) const { ::munmap(stack, stack_bytes); }
};

} // namespace

result<spawned, std::string> spawn(const spawn_plan& plan) {
  if (plan.descriptors.size() > max_descriptors)
    return std::string{"too many descriptors"};
  std::unique_ptr<void, unmap_stack> stack{::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)};
  if (stack.get() == MAP_FAILED) {
    (void)stack.release();
    return std::string{"no memory for the child's stack"};
  }
  auto argv = pointers(plan.arguments);
  auto envp = pointers(plan.environment);
  child_view view{plan.program.c_str(), argv.data(), envp.data(), &plan, {}, ::getpid()};
  view.filter.len = static_cast<unsigned short>(plan.filter.size() / sizeof(sock_filter));
  view.filter.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(plan.filter.data()));

  // A handler of ours that ran in the child would run in our memory: no signal until it has reset
  // them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
#ifdef __SANITIZE_ADDRESS__
  // A child never returns from its functions: their marks stay where the next stack will lie.
  ASAN_UNPOISON_MEMORY_REGION(stack.get(), stack_bytes);
#endif
  auto* top = static_cast<char*>(stack.get()) + stack_bytes;
  pid_t pid =
      ::clone(run_child, top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &view, &pidfd);
  int clone_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0)
    return std::string{"no new process: "} + std::strerror(clone_error);
  unique_fd owned{pidfd};
  if (view.failed_at != nullptr) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return std::string{view.failed_at} + " " + plan.program + ": " + std::strerror(view.failure);
  }
  return spawned{pid, std::move(owned)};
}

} // namespace runledger::harness
