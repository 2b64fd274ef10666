#include "tests/support/fault_fs.hpp"

#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace runledger::test {

// Goal: the library, preloaded into a program that knows nothing of it, fails writes in one folder,
// as long as it is told to, and leaves the rest alone.
TEST(fault_fs_library, fails_the_writes_of_another_program) {
  temp_folder folder, elsewhere;
  fault_fs faults{elsewhere / "control", folder.path()};
  auto writes_to = [&](const std::string& file) {
    auto command = "LD_PRELOAD=" RUNLEDGER_FAULT_FS_LIBRARY " RUNLEDGER_FAULT_FS=" + faults.path()
                   + " sh -c 'echo text > " + file + "' 2> " + (elsewhere / "errors");
    return std::system(command.c_str()) == 0;
  };
  EXPECT_TRUE(writes_to(folder / "a"));
  faults.disk_full();
  EXPECT_FALSE(writes_to(folder / "a"));
  EXPECT_TRUE(writes_to(elsewhere / "a"));
  faults.disk_has_room();
  EXPECT_TRUE(writes_to(folder / "a"));
  faults.fail_writes(1);
  EXPECT_FALSE(writes_to(folder / "a"));
  EXPECT_TRUE(writes_to(folder / "a"));
  EXPECT_GE(faults.writes(), 4);
}

} // namespace runledger::test
