#include "cli/doctor_checks.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace runledger::cli {

namespace {

class doctor : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "runledger-doctor-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::filesystem::path folder;
};

} // namespace

// Goal: a key that others can read fails, one for its owner alone is fine, none yet is fine.
TEST_F(doctor, key_file) {
  EXPECT_EQ(check_key_file(folder).state, health::ok);
  std::ofstream{folder / "admin.key"} << "rlk_x\n";
  ::chmod((folder / "admin.key").c_str(), 0640);
  EXPECT_EQ(check_key_file(folder).state, health::fail);
  ::chmod((folder / "admin.key").c_str(), 0600);
  EXPECT_EQ(check_key_file(folder).state, health::ok);
}

// Goal: the secret of the nodes is looked at as they look at it, and a stranger beside a node is
// told.
TEST_F(doctor, cluster) {
  const auto path = (folder / "secret").string();
  EXPECT_EQ(check_cluster_secret(path).state, health::fail);
  std::ofstream{path} << "too short\n";
  ::chmod(path.c_str(), 0600);
  EXPECT_NE(check_cluster_secret(path).detail.find("too short"), std::string::npos);
  std::ofstream{path} << std::string(32, 'x') << '\n';
  EXPECT_EQ(check_cluster_secret(path).state, health::ok);
  for (const auto mode : {0604U, 0602U, 0644U}) {
    ::chmod(path.c_str(), mode);
    EXPECT_NE(check_cluster_secret(path).detail.find("chmod 600"), std::string::npos) << mode;
  }
  EXPECT_FALSE(strangers_in("\nrunledger_ready 1\n"));
  EXPECT_EQ(strangers_in("x 1\nrunledger_cluster_strangers 0\n")->state, health::ok);
  EXPECT_EQ(strangers_in("x 1\nrunledger_cluster_strangers 2\n")->state, health::fail);
}

TEST_F(doctor, data_folder_is_tried_and_left_as_it_was) {
  EXPECT_NE(check_data_folder(folder).state, health::fail);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  EXPECT_NE(check_data_folder(folder / "not" / "yet").state, health::fail);
  EXPECT_FALSE(std::filesystem::exists(folder / "not"));
  std::ofstream{folder / "file"} << "x";
  EXPECT_EQ(check_data_folder(folder / "file").state, health::fail);
  EXPECT_EQ(check_data_folder("/proc/runledger").state, health::fail);
}

// Goal: each of the others gives a verdict with a detail, and a failure says what to do.
TEST_F(doctor, every_check_says_what_it_found) {
  for (const auto& found :
       {check_free_disk(folder), check_bubblewrap(), check_user_namespaces(), check_seccomp(),
        check_cgroups(), check_file_limit(), check_sqlite(), check_clock()}) {
    EXPECT_FALSE(found.check.empty());
    EXPECT_FALSE(found.detail.empty()) << found.check;
    EXPECT_TRUE(found.state == health::ok || !found.advice.empty()) << found.check;
  }
}

} // namespace runledger::cli
