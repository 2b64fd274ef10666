#include "tests/support/server_process.hpp"

#include "tests/support/checked_views.hpp"
#include "tests/support/http_client.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>
#include <thread>

namespace runledger::test {

namespace {

/// Everything that the child needs is made before the fork: after it only calls that are safe in a
/// process of many threads.
struct start_plan {
  std::vector<std::string> arguments, environment;
  std::vector<char*> argv, envp;

  explicit start_plan(const server_options& with) {
    arguments = {with.binary, "serve", "--listen", "127.0.0.1:0", "--data", with.data};
    arguments.insert(arguments.end(), with.flags.begin(), with.flags.end());
    for (char** entry = environ; *entry != nullptr; ++entry)
      if (!std::string_view{*entry}.starts_with("RUNLEDGER_"))
        environment.emplace_back(*entry);
    for (const auto& [name, value] : with.environment)
      environment.push_back(name + '=' + value);
    argv = pointers(arguments);
    envp = pointers(environment);
  }

  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (auto& each : texts)
      out.push_back(each.data());
    out.push_back(nullptr);
    return out;
  }
};

[[noreturn]] void become(const start_plan& plan, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(127);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execve(plan.argv[0], plan.argv.data(), plan.envp.data());
  ::_exit(127);
}

} // namespace

std::string read_whole_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// The servers that many tests share live until the process ends. Then it is too late for a
/// failure, so they end with the last test.
class shared_servers_end : public ::testing::EmptyTestEventListener {
public:
  static std::vector<server_process*>& all() {
    static auto* const servers = [] {
      ::testing::UnitTest::GetInstance()->listeners().Append(new shared_servers_end);
      return new std::vector<server_process*>; // Outlives everything that is static.
    }();
    return *servers;
  }
  void OnEnvironmentsTearDownStart(const ::testing::UnitTest&) override {
    for (auto* each : all())
      each->end();
  }
};

server_process::server_process(server_options options)
    : options_(std::move(options)), output_path_(options_.data + ".printed") {
  shared_servers_end::all().push_back(this);
}

server_process::~server_process() {
  end();
  std::erase(shared_servers_end::all(), this);
}

void server_process::end() {
  kill();
  if (!std::exchange(launched_, false) || !compare_views_)
    return;
  EXPECT_EQ(views_difference(options_.data, was_ready_), "")
      << "the views are not what the ledger says";
}

void server_process::launch() {
  kill();
  launched_ = true;
  end_.reset();
  port_ = 0;
  const start_plan plan{options_};
  const int output = ::open(output_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  printed_before_ = printed().size();
  const auto self = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0)
    become(plan, output, self);
  ::close(output);
}

bool server_process::await_port(std::chrono::milliseconds at_most) {
  constexpr std::string_view mark = " listens on ";
  eventually(
      [&] {
        const auto text = printed_now();
        const auto at = text.find(mark);
        const auto line_end = at == std::string::npos ? at : text.find('\n', at);
        if (line_end == std::string::npos)
          return !running();
        const auto colon = text.rfind(':', line_end);
        port_ = static_cast<std::uint16_t>(std::atoi(text.c_str() + colon + 1));
        return true;
      },
      at_most);
  return port_ != 0;
}

bool server_process::await_ready(std::chrono::milliseconds at_most) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  if (!await_port(at_most))
    return false;
  http_client client{port_};
  client.patience(std::chrono::seconds{2});
  bool ready = false;
  eventually(
      [&] {
        const auto said = client.get("/readyz");
        ready = said.status == 200;
        not_ready_ = ready ? "" : said.body;
        return ready || !running();
      },
      std::chrono::duration_cast<std::chrono::milliseconds>(until
                                                            - std::chrono::steady_clock::now()));
  was_ready_ = was_ready_ || ready;
  return ready;
}

bool server_process::start(std::chrono::milliseconds at_most) {
  launch();
  return await_ready(at_most);
}

bool server_process::collect(int flags) {
  if (pid_ < 0)
    return true;
  int status = 0;
  if (::waitpid(pid_, &status, flags) != pid_)
    return false;
  end_ =
      WIFEXITED(status) ? process_end{WEXITSTATUS(status), 0} : process_end{-1, WTERMSIG(status)};
  pid_ = -1;
  return true;
}

bool server_process::running() {
  return !collect(WNOHANG);
}

void server_process::kill() {
  if (pid_ < 0)
    return;
  ::kill(pid_, SIGKILL);
  collect(0);
}

void server_process::signal(int number) {
  if (pid_ > 0)
    ::kill(pid_, number);
}

std::optional<process_end> server_process::await_end(std::chrono::milliseconds at_most) {
  eventually([&] { return !running(); }, at_most);
  return end_;
}

std::optional<process_end> server_process::stop(std::chrono::milliseconds at_most) {
  signal(SIGTERM);
  return await_end(at_most);
}

std::string server_process::admin_key() const {
  auto text = read_whole_file(options_.data + "/admin.key");
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

std::string server_process::printed() const {
  return read_whole_file(output_path_);
}

std::string server_process::why() {
  std::string out = running() ? "it runs" : "it ended";
  if (end_)
    out += " with code " + std::to_string(end_->code) + ", signal " + std::to_string(end_->signal);
  if (!not_ready_.empty())
    out += "; /readyz said " + not_ready_;
  return out + "; it printed:\n" + printed_now();
}

} // namespace runledger::test
