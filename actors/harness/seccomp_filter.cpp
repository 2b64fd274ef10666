#include "actors/harness/sandbox.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <linux/sched.h>
#include <memory>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace runledger::harness {

namespace {

/// By name: what libseccomp does not know on this architecture is not there either.
constexpr std::array denied{
    // Mounts and namespaces.
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "unshare",
    "setns",
    // Other processes.
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    // Into the kernel.
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "iopl",
    "ioperm",
    "lookup_dcookie",
    "nfsservctl",
    "vm86",
    "vm86old",
    "modify_ldt",
    "uselib",
    // Keys, which are not per namespace.
    "keyctl",
    "add_key",
    "request_key",
    // The machine as a whole.
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "quotactl_fd",
    "syslog",
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "clock_adjtime64",
    "adjtimex",
    "vhangup",
    "sethostname",
    "setdomainname",
    "open_by_handle_at",
    "name_to_handle_at",
    "fanotify_init",
    "fanotify_mark",
};

constexpr std::array namespace_flags{
    CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,    CLONE_NEWNET,
    CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP,
};

constexpr std::array denied_families{AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_XDP, AF_TIPC,
                                     AF_RDS,    AF_KEY,   AF_CAN, AF_NFC,       AF_KCM, AF_QIPCRTR};

struct release_filter {
  void operator()(void* context) const { seccomp_release(context); }
};

/// Adds every rule; the first error that counts.
int add_rules(scmp_filter_ctx context) {
  constexpr auto refuse = SCMP_ACT_ERRNO(EPERM);
  for (const char* name : denied) {
    int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
      continue;
    if (int e = seccomp_rule_add(context, refuse, number, 0); e != 0 && e != -EDOM)
      return e;
  }
  for (int flag : namespace_flags) {
    auto bit = static_cast<scmp_datum_t>(static_cast<unsigned>(flag));
    if (int e = seccomp_rule_add(context, refuse, SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit)))
      return e;
  }
  if (int e = seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0))
    return e;
  for (int family : denied_families)
    if (int e = seccomp_rule_add(context, refuse, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(family))))
      return e;
  // The kernel looks at the low half of the request only, so must the filter.
  for (auto request : {TIOCSTI, TIOCLINUX})
    if (int e = seccomp_rule_add(
            context, refuse, SCMP_SYS(ioctl), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xFFFFFFFFU, static_cast<scmp_datum_t>(request))))
      return e;
  return 0;
}

start_refusal unavailable(std::string why) {
  return {"sandbox_unavailable", std::move(why)};
}

} // namespace

result<std::string, start_refusal> build_filter() {
  std::unique_ptr<void, release_filter> context{seccomp_init(SCMP_ACT_ALLOW)};
  if (!context)
    return unavailable(std::string{"libseccomp gave no context"});
#if defined(__x86_64__)
  // Without these a 32-bit program would be killed at its first call; with them it meets the same
  // rules.
  for (auto arch : {SCMP_ARCH_X86, SCMP_ARCH_X32})
    if (int e = seccomp_arch_add(context.get(), arch); e != 0 && e != -EEXIST)
      return unavailable(std::string{"seccomp: "} + std::strerror(-e));
#endif
  if (int e = add_rules(context.get()))
    return unavailable(std::string{"seccomp: "} + std::strerror(-e));
  auto file = memory_file("");
  if (!file || seccomp_export_bpf(context.get(), file.raw()) != 0)
    return unavailable(std::string{"seccomp: the program could not be exported"});
  std::string program(static_cast<std::size_t>(::lseek(file.raw(), 0, SEEK_END)), '\0');
  if (::pread(file.raw(), program.data(), program.size(), 0)
      != static_cast<ssize_t>(program.size()))
    return unavailable(std::string{"seccomp: the program could not be read"});
  return program;
}

} // namespace runledger::harness
