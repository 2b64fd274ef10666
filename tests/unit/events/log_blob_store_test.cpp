#include "events/log/file_blob_store.hpp"

#include "tests/support/fault_fs.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace runledger::test {

class file_blob_store_test : public testing::Test {
protected:
  void SetUp() override {
    auto opened = file_blob_store::open(folder_ / "blobs");
    ASSERT_TRUE(opened) << opened.error();
    store_ = std::move(*opened);
    ASSERT_EQ(fault_fs_use(faults_.path().c_str()), 0);
  }
  void TearDown() override { fault_fs_use(nullptr); }

  std::size_t leftovers() {
    auto files = std::filesystem::directory_iterator{folder_ / "blobs/tmp"};
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
  }
  /// A file with `content`, open at its beginning.
  int file_with(const std::string& content) {
    auto name = folder_ / "input";
    std::ofstream{name, std::ios::binary} << content;
    return ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  }

  temp_folder folder_, control_;
  fault_fs faults_{control_ / "control", folder_.path()};
  std::unique_ptr<file_blob_store> store_;
};

// Goal: content comes back by its SHA-256, from a private file in the documented place.
TEST_F(file_blob_store_test, gives_back_what_was_put) {
  for (std::string content : {std::string{}, std::string{"abc"}, std::string(3'000'000, '\0')}) {
    auto put = store_->put(content);
    ASSERT_TRUE(put);
    EXPECT_EQ(put->id, sha256(content));
    EXPECT_EQ(put->size, content.size());
    auto got = store_->get(put->id);
    ASSERT_TRUE(got);
    EXPECT_EQ(*got, content);
    auto hex = to_hex(put->id);
    auto path = folder_ / "blobs" + '/' + hex.substr(0, 2) + '/' + hex.substr(2);
    EXPECT_EQ(store_->path_of(put->id), path);
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
  }
  EXPECT_EQ(leftovers(), 0u);
}

// Goal: what was never put is missing.
TEST_F(file_blob_store_test, knows_what_is_missing) {
  auto got = store_->get(sha256("never"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error(), blob_errc::missing);
  EXPECT_FALSE(store_->path_of(sha256("never")));
}

// Goal: put returns after file and folder are synced, the second time too, and the second time
// writes nothing.
TEST_F(file_blob_store_test, syncs_before_it_returns) {
  auto syncs = faults_.syncs();
  ASSERT_TRUE(store_->put("abc"));
  EXPECT_EQ(faults_.syncs(), syncs + 2);
  auto writes = faults_.writes();
  ASSERT_TRUE(store_->put("abc"));
  EXPECT_EQ(faults_.writes(), writes);
  EXPECT_EQ(faults_.syncs(), syncs + 3); // The folder: the first put may have been another's.
}

// Goal: a file is taken from where it stands, in bounded memory, up to the given size.
TEST_F(file_blob_store_test, takes_an_open_file) {
  std::string content(1'000'001, 'y');
  int fd = file_with("skipped" + content);
  ASSERT_EQ(::lseek(fd, 7, SEEK_SET), 7);
  auto put = store_->put_file(fd, content.size());
  ASSERT_TRUE(put);
  EXPECT_EQ(put->id, sha256(content));
  EXPECT_EQ(put->size, content.size());
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 1'000'008); // Still open.
  ASSERT_EQ(::lseek(fd, 7, SEEK_SET), 7);
  auto too_big = store_->put_file(fd, content.size() - 1);
  ASSERT_FALSE(too_big);
  EXPECT_EQ(too_big.error(), blob_errc::damaged);
  ::close(fd);
  EXPECT_EQ(leftovers(), 0u);
  EXPECT_EQ(*store_->get(put->id), content);
}

// Goal: changed, cut or grown content is never handed out.
TEST_F(file_blob_store_test, notices_damage) {
  auto put = store_->put("some content");
  auto path = *store_->path_of(put->id);
  for (const char* changed : {"some_content", "some", "some content and more", ""}) {
    std::ofstream{path, std::ios::binary | std::ios::trunc} << changed;
    auto got = store_->get(put->id);
    ASSERT_FALSE(got) << changed;
    EXPECT_EQ(got.error(), blob_errc::damaged);
  }
  ASSERT_TRUE(store_->put("some content")); // The caller has it: the cut blob is whole again.
  EXPECT_EQ(*store_->get(put->id), "some content");
}

// Goal: with a full disk, or when a write or a sync fails, nothing is acknowledged and no part of a
// blob stands under its name; later it works again.
TEST_F(file_blob_store_test, acknowledges_nothing_on_a_failing_disk) {
  std::string content(100'000, 'z');
  auto refused = [&] {
    auto put = store_->put(content);
    auto id = sha256(content);
    return !put && put.error() == blob_errc::unavailable && !store_->path_of(id);
  };
  faults_.disk_full(50'000);
  EXPECT_TRUE(refused());
  faults_.disk_has_room();
  faults_.fail_writes(1);
  EXPECT_TRUE(refused());
  faults_.fail_syncs(1); // Of the file.
  EXPECT_TRUE(refused());
  faults_.only("/" + to_hex(sha256(content)).substr(0, 2));
  faults_.fail_syncs(1); // Of the folder.
  EXPECT_TRUE(refused());
  EXPECT_EQ(leftovers(), 0u);
  ASSERT_TRUE(store_->put(content));
  EXPECT_EQ(*store_->get(sha256(content)), content);
}

// Goal: threads that put the same and different content do not disturb each other.
TEST_F(file_blob_store_test, is_used_by_many_threads) {
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        auto content = std::string(10'000, static_cast<char>('a' + i));
        auto put = store_->put(content);
        if (put && *store_->get(put->id) == content)
          ++good;
      }
    });
  for (auto& t : threads)
    t.join();
  EXPECT_EQ(good, 100);
  EXPECT_EQ(leftovers(), 0u);
}

// Goal: opening again keeps what is there and removes what a crash left a while ago.
TEST_F(file_blob_store_test, cleans_up_when_it_opens) {
  auto put = store_->put("kept");
  std::ofstream{folder_ / "blobs/tmp/old"} << "x";
  std::ofstream{folder_ / "blobs/tmp/young"} << "x";
  std::filesystem::last_write_time(folder_ / "blobs/tmp/old",
                                   std::filesystem::file_time_type::clock::now()
                                       - std::chrono::hours{48});
  auto again = file_blob_store::open(folder_ / "blobs");
  ASSERT_TRUE(again);
  EXPECT_EQ(*(*again)->get(put->id), "kept");
  EXPECT_EQ(leftovers(), 1u);
}

// Goal: an offline reader reads and writes nothing, and a folder that cannot be made is told in
// words.
TEST_F(file_blob_store_test, opens_for_reading) {
  auto put = store_->put("kept");
  auto reader = file_blob_store::open(folder_ / "blobs", file_blob_store::access::read_only);
  ASSERT_TRUE(reader);
  EXPECT_EQ(*(*reader)->get(put->id), "kept");
  EXPECT_EQ((*reader)->put("new").error(), blob_errc::unavailable);
  auto nowhere = file_blob_store::open(folder_ / "not/there");
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().find("cannot be used"), std::string::npos);
}

} // namespace runledger::test
