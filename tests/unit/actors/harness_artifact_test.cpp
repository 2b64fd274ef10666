#include "actors/harness/artifact.hpp"
#include "actors/harness/cgroup.hpp"
#include "actors/harness/disk_usage.hpp"
#include "actors/harness/line_reader.hpp"
#include "actors/harness/raw_log.hpp"
#include "tests/support/harness_probe.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

using namespace runledger;
using namespace runledger::harness;
using namespace runledger::test;

namespace {

/// A work folder with one of everything, beside a file that nobody must get.
class harness_artifact : public testing::Test {
protected:
  harness_artifact() {
    std::filesystem::create_directories(work + "/sub");
    write_text(work + "/plain", "content");
    write_text(work + "/sub/deep", "deep");
    write_text(data.path() + "/outside", "secret");
    std::filesystem::create_symlink("../outside", work + "/link");
    std::filesystem::create_symlink("plain", work + "/inner_link");
    std::filesystem::create_directory_symlink("..", work + "/up");
    ::mkfifo((work + "/fifo").c_str(), 0600);
  }
  std::string why(std::string_view path, std::uint64_t max = 1 << 20) {
    auto taken = take_artifact(work, path, max);
    EXPECT_FALSE(taken) << path;
    return taken ? "" : taken.error().message;
  }

  temp_folder data;
  std::string work = data.path() + "/folders";
};

} // namespace

// Goal: a regular file is copied and hashed, whichever way its path is written.
TEST_F(harness_artifact, takes_regular_files) {
  for (const auto& path : {std::string{"plain"}, std::string{"./plain"},
                           std::string{"sub/../plain"}, work + "/plain", work + "//plain"}) {
    auto taken = take_artifact(work, path, 7);
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(taken->size(), 7U);
    std::string copy;
    auto copied = copy_artifact(*taken, 7, [&](std::string_view piece) {
      copy += piece;
      return true;
    });
    ASSERT_TRUE(copied);
    EXPECT_EQ(copy, "content");
    EXPECT_EQ(copied->size, 7U);
    EXPECT_EQ(copied->sha256, sha256("content"));
  }
  EXPECT_TRUE(take_artifact(work, "sub/deep", 100));
}

// Goal: whatever leads out of the folder, is no file or is too large is refused with its reason.
TEST_F(harness_artifact, refuses_the_rest) {
  EXPECT_EQ(why("../outside"), "`../outside` leaves the work folder");
  EXPECT_EQ(why("link"), "`link` is or passes a symbolic link");
  EXPECT_EQ(why("inner_link"), "`inner_link` is or passes a symbolic link");
  EXPECT_EQ(why("up/outside"), "`up/outside` is or passes a symbolic link");
  EXPECT_EQ(why(data.path() + "/outside"), "`" + data.path() + "/outside` leaves the work folder");
  EXPECT_EQ(why(work + "x/plain"), "`" + work + "x/plain` leaves the work folder");
  EXPECT_EQ(why("fifo"), "`fifo` is a FIFO, not a regular file"); // And does not wait for a writer.
  EXPECT_EQ(why("sub"), "`sub` is a folder, not a regular file");
  EXPECT_EQ(why("nothing"), "`nothing` does not exist");
  EXPECT_EQ(why("plain", 6), "`plain` is larger than 6 bytes");
  why("");
  why("/");
  why(work);
  why("/proc/self/environ");
  why(std::string_view{"plain\0x", 7});
  std::filesystem::remove_all(work);
  std::filesystem::create_directory_symlink("/etc", work);
  why("passwd"); // The folder itself became a link.
}

// Goal: a file that grows while it is copied does not get past the limit, and a failing target ends
// the copy.
TEST_F(harness_artifact, copy_holds_the_limit) {
  auto taken = take_artifact(work, "plain", 10);
  ASSERT_TRUE(taken);
  write_text(work + "/plain", std::string(11, 'x'));
  EXPECT_FALSE(copy_artifact(*taken, 10, [](std::string_view) { return true; }));
  EXPECT_FALSE(copy_artifact(*taken, 100, [](std::string_view) { return false; }));
}

// Goal: the server's own files land in the folder and replace, never follow, what an agent put in
// their way.
TEST_F(harness_artifact, stores_blobs_safely) {
  EXPECT_TRUE(store_work_file(work, ".blobs/a/b", "text"));
  EXPECT_EQ(read_text(work + "/.blobs/a/b"), "text");
  EXPECT_TRUE(store_work_file(work, "link", "mine"));
  EXPECT_EQ(read_text(work + "/link"), "mine");
  EXPECT_EQ(read_text(data.path() + "/outside"), "secret");
  EXPECT_FALSE(store_work_file(work, "up/outside", "x"));
  EXPECT_FALSE(store_work_file(work, "up/new/x", "x"));
  EXPECT_FALSE(store_work_file(work, "../outside", "x"));
  EXPECT_FALSE(std::filesystem::exists(data.path() + "/new"));
}

// Goal: the sum covers every level, follows no link, and comes in portions.
TEST(harness_disk, sums_up_in_portions) {
  temp_folder data;
  temp_folder elsewhere;
  write_text(elsewhere.path() + "/big", std::string(8 << 20, 'x'));
  auto folder = data.path();
  for (int i = 0; i < 20; ++i) {
    folder += "/d";
    std::filesystem::create_directory(folder);
    write_text(folder + "/f", std::string(100'000, 'x'));
  }
  std::filesystem::create_directory_symlink(elsewhere.path(), data.path() + "/link");
  disk_usage usage{{data.path(), "/nonexistent"}};
  EXPECT_FALSE(usage.advance(3));
  std::optional<std::uint64_t> sum;
  int portions = 0;
  while (!(sum = usage.advance(3)) && ++portions < 1000) {
  }
  ASSERT_TRUE(sum);
  EXPECT_GT(portions, 5);
  EXPECT_GE(*sum, 2'000'000U);
  EXPECT_LT(*sum, 4'000'000U);
}

// Goal: lines come out whole wherever the stream was cut.
TEST(harness_lines, any_cut_gives_the_same_lines) {
  std::string all = "a\n\nbc\n" + std::string(5000, 'x') + "\nrest";
  for (std::size_t cut = 1; cut < 12; ++cut) {
    line_reader reader;
    std::vector<std::string> lines;
    for (std::size_t from = 0; from < all.size(); from += cut)
      ASSERT_TRUE(reader.feed(std::string_view{all}.substr(from, cut), [&](std::string_view line) {
        lines.emplace_back(line);
        return true;
      }));
    EXPECT_EQ(lines, (std::vector<std::string>{"a", "", "bc", std::string(5000, 'x')}));
    EXPECT_EQ(reader.rest(), "rest");
  }
}

// Goal: a bucket lets the burst pass at once and the rate afterwards.
TEST(harness_lines, token_bucket) {
  token_bucket bucket{10, 20};
  EXPECT_TRUE(bucket.take(20, 1000));
  EXPECT_FALSE(bucket.take(1, 1000));
  EXPECT_TRUE(bucket.take(5, 1500));
  EXPECT_FALSE(bucket.take(1, 1500));
  EXPECT_FALSE(bucket.take(21, 100'000));
  EXPECT_TRUE(bucket.take(20, 100'000));
}

// Goal: a log is appended to over the attempts of a run, its bound counts what is there, and no
// link is followed.
TEST(harness_log, appends_within_its_bound) {
  temp_folder data;
  auto path = data.path() + "/logs/run.log";
  for (int i = 0; i < 3; ++i)
    raw_log{path, 10}.append("12345");
  EXPECT_EQ(read_text(path),
            "1234512345"); // The third had nothing left and the cut was at the end of a piece.
  std::filesystem::create_symlink(data.path() + "/target", data.path() + "/logs/link");
  raw_log{data.path() + "/logs/link", 10}.append("x");
  EXPECT_FALSE(std::filesystem::exists(data.path() + "/target"));
}

// Goal: control groups of both versions are found where /proc says, and what is missing is told.
TEST(harness_cgroup, finds_hierarchies) {
  temp_folder data;
  auto unified = data.path() + "/unified";
  std::filesystem::create_directories(unified + "/service");
  write_text(data.path() + "/cgroup", "1:memory:/mine\n0::/service\n");
  write_text(data.path() + "/mountinfo", "30 20 0:1 / " + unified
                                             + " rw - cgroup2 none rw\n"
                                               "31 20 0:2 / "
                                             + data.path()
                                             + "/memory rw - cgroup none rw,memory\n");
  write_text(unified + "/service/cgroup.controllers", "cpu memory pids\n");
  write_text(unified + "/service/cgroup.subtree_control", "memory pids\n");
  std::vector<std::string> reasons;
  EXPECT_EQ(find_cgroups(reasons, data.path()).unified, unified + "/service");
  EXPECT_TRUE(reasons.empty());
  write_text(unified + "/service/cgroup.controllers", "cpu\n");
  auto without = find_cgroups(reasons, data.path());
  EXPECT_FALSE(without.any()); // The memory hierarchy is mounted nowhere.
  EXPECT_EQ(reasons.size(), 3U);
}
