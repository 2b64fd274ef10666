#include "cli/output_file.hpp"

#include "cli/offline_ledger.hpp"
#include "events/log/sqlite_log.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace runledger::cli {

namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// What a command would end with.
template <class Act>
std::string refusal_of(Act&& act) {
  try {
    act();
  } catch (const command_failure& failure) {
    EXPECT_EQ(failure.exit_code, exit_wrong);
    return failure.message;
  }
  return "it was not refused";
}

class output_file_test : public ::testing::Test {
protected:
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator{folder.path()}, {}));
  }

  test::temp_folder folder;
  const std::string path = folder / "out.txt";
};

// Goal: the file is there with its whole contents once it is committed, and not before.
TEST_F(output_file_test, is_there_whole) {
  output_file file{path, false};
  const std::string piece(100'000, 'x');
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(file.write(piece));
  EXPECT_FALSE(fs::exists(path));
  file.commit();
  EXPECT_EQ(fs::file_size(path), 10 * piece.size());
  EXPECT_EQ(files(), 1u);
  EXPECT_EQ(file.folder(), folder.path());
}

// Goal: what is not committed leaves nothing.
TEST_F(output_file_test, or_not_at_all) {
  {
    output_file file{path, false};
    EXPECT_TRUE(file.write("half"));
    EXPECT_EQ(files(), 1u);
  }
  EXPECT_EQ(files(), 0u);
}

// Goal: a file that is there stays as it is unless it shall be replaced, also if it came meanwhile.
TEST_F(output_file_test, replaces_nothing_unasked) {
  {
    output_file file{path, false};
    EXPECT_TRUE(file.write("mine"));
    std::ofstream{path} << "yours";
    EXPECT_THAT(refusal_of([&] { file.commit(); }), HasSubstr("--force"));
  }
  EXPECT_THAT(refusal_of([&] { output_file(path, false); }), HasSubstr("--force"));
  EXPECT_EQ(test::read_whole_file(path), "yours");
  EXPECT_EQ(files(), 1u);
  output_file file{path, true};
  EXPECT_TRUE(file.write("mine"));
  file.commit();
  EXPECT_EQ(test::read_whole_file(path), "mine");
  EXPECT_EQ(files(), 1u);
}

// Goal: a disk that is full is told, and nothing gets the name.
TEST_F(output_file_test, says_why_it_cannot_write) {
  EXPECT_THAT(refusal_of([&] { output_file(folder / "no/out.txt", false); }),
              HasSubstr("no/out.txt cannot be written: No such file"));
  EXPECT_THAT(refusal_of([&] { output_file(folder.path(), true); }), HasSubstr("is no file"));
}

// Goal: a command that is ended from outside while it writes leaves nothing.
TEST_F(output_file_test, is_gone_after_a_signal) {
  const test::temp_folder ledger;
  ASSERT_TRUE(sqlite_log::open({.folder = ledger.path()}));
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      std::signal(number, SIG_DFL); // Who runs tests in the background ignores some.
      offline_options options;
      options.data = ledger.path();
      const offline_ledger opened{options};
      output_file file{path, false};
      const bool written = file.write(std::string(1'000'000, 'x'));
      if (::write(ready[1], written ? "y" : "n", 1) == 1)
        ::pause();
      ::_exit(1);
    }
    char said = 0;
    ASSERT_EQ(::read(ready[0], &said, 1), 1);
    EXPECT_EQ(said, 'y');
    EXPECT_EQ(files(), 1u);
    ASSERT_EQ(::kill(child, number), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number);
    EXPECT_EQ(files(), 0u) << number;
    ::close(ready[0]);
    ::close(ready[1]);
  }
}

} // namespace

} // namespace runledger::cli
