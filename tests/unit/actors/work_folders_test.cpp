#include "actors/work_folders.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace runledger {
namespace {

namespace fs = std::filesystem;
using user = work_folders::user;

struct work_folders_test : testing::Test {
  test::temp_folder folder;
  std::string root = folder.path() + "/work";
  std::vector<std::string> removed;
  work_folders folders{root, [this](std::string path) { removed.push_back(std::move(path)); }};

  static run_id run(int n) {
    auto digits = std::to_string(n);
    return run_id{"run_" + std::string(26 - digits.size(), '0') + digits};
  }
  std::string path_of(int n, const char* agent = "ag_1") const {
    return folders.of_run(agent_id{agent}, 1, run(n));
  }
  static ino_t inode(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
  }
};

// Goal: the next run of a pool gets the empty folder that the last one left.
TEST_F(work_folders_test, an_empty_folder_of_a_pool_is_renamed) {
  folders.provide(path_of(1), user::pool);
  auto first = inode(path_of(1));
  folders.give_back(path_of(1), user::pool);
  folders.provide(path_of(2), user::pool);
  EXPECT_EQ(inode(path_of(2)), first);
  EXPECT_FALSE(fs::exists(path_of(1)));
  EXPECT_TRUE(removed.empty());
}

// Goal: a folder never goes to another agent, nor from a run with a process of its own to another.
TEST_F(work_folders_test, a_folder_stays_with_those_who_could_still_use_it) {
  folders.provide(path_of(1), user::pool);
  auto first = inode(path_of(1));
  folders.give_back(path_of(1), user::pool);
  folders.provide(path_of(2, "ag_2"), user::pool);
  EXPECT_NE(inode(path_of(2, "ag_2")), first);
  folders.provide(path_of(3), user::own_process);
  EXPECT_NE(inode(path_of(3)), first);
  folders.give_back(path_of(3), user::own_process);
  EXPECT_EQ(removed, std::vector{path_of(3)});
}

// Goal: what a run wrote is not seen by the next one.
TEST_F(work_folders_test, a_folder_with_files_is_removed) {
  folders.provide(path_of(1), user::pool);
  std::ofstream{path_of(1) + "/notes"} << "x";
  folders.give_back(path_of(1), user::pool);
  EXPECT_EQ(removed, std::vector{path_of(1)});
  folders.provide(path_of(2), user::pool);
  EXPECT_TRUE(fs::is_empty(path_of(2)));
}

// Goal: a later attempt finds what an earlier one wrote.
TEST_F(work_folders_test, a_folder_is_kept_over_the_attempts_of_a_run) {
  folders.provide(path_of(1), user::own_process);
  std::ofstream{path_of(1) + "/notes"} << "x";
  folders.provide(path_of(1), user::own_process);
  EXPECT_TRUE(fs::exists(path_of(1) + "/notes"));
}

// Goal: a folder that does not exist is never taken for one that does.
TEST_F(work_folders_test, a_folder_that_cannot_be_made_is_told_with_its_path) {
  EXPECT_TRUE(folders.provide(path_of(1), user::pool));
  std::ofstream{root + "/in-the-way"} << "x";
  auto made = folders.provide(root + "/in-the-way/run_1", user::pool);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error(),
            "The work folder " + root + "/in-the-way/run_1 could not be made: Not a directory.");
}

// Goal: after a crash the folders of ended runs go, those of unfinished ones stay. They are out of
// the way at once, and a removal that was cut off goes on at the next start.
TEST_F(work_folders_test, folders_of_ended_runs_are_removed_at_the_next_start) {
  for (int n : {1, 2})
    folders.provide(path_of(n), user::own_process);
  work_folders next{root, [this](std::string path) { removed.push_back(std::move(path)); }};
  next.keep(run(1));
  next.provide(path_of(3), user::own_process);
  next.remove_left();
  EXPECT_EQ(removed, std::vector{path_of(2) + ".left"});
  EXPECT_FALSE(std::filesystem::exists(path_of(2)));
  removed.clear();
  work_folders later{root, [this](std::string path) { removed.push_back(std::move(path)); }};
  for (int n : {1, 3})
    later.keep(run(n));
  later.remove_left();
  EXPECT_EQ(removed, std::vector{path_of(2) + ".left"});
}

} // namespace
} // namespace runledger
