#include "tests/support/program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

namespace runledger::test {

namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& each : texts)
    out.push_back(each.data());
  out.push_back(nullptr);
  return out;
}

} // namespace

program::program(std::vector<std::string> words, const variables& environment, std::string output)
    : output_(std::move(output)) {
  std::vector<std::string> all;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view inherited{*each};
    const bool replaced = std::ranges::any_of(environment, [&](const auto& variable) {
      return variable.first == inherited.substr(0, inherited.find('='));
    });
    if (!replaced && !inherited.starts_with("RUNLEDGER_"))
      all.emplace_back(inherited);
  }
  for (const auto& [name, value] : environment)
    all.push_back(name + '=' + value);
  auto argv = pointers(words), envp = pointers(all);
  const int out = ::open(output_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(out, 1);
    ::dup2(out, 2);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(out);
}

program::~program() {
  kill();
}

void program::signal(int number) const {
  if (pid_ > 0 && !end_)
    ::kill(pid_, number);
}

void program::kill() {
  signal(SIGKILL);
  if (!end_)
    collect(0);
}

std::optional<process_end> program::await_end(std::chrono::milliseconds at_most) {
  eventually([&] { return collect(WNOHANG); }, at_most);
  return end_;
}

bool program::collect(int flags) {
  if (end_)
    return true;
  int status = 0;
  if (::waitpid(pid_, &status, flags) != pid_)
    return false;
  end_ =
      WIFEXITED(status) ? process_end{WEXITSTATUS(status), 0} : process_end{-1, WTERMSIG(status)};
  return true;
}

} // namespace runledger::test
