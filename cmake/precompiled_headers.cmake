# What most sources of a layer include is parsed once for the layer. Sources still include what they use: clang-tidy
# (scripts/tidy) reads them without these headers.
set(PRECOMPILED_STANDARD <algorithm> <array> <atomic> <chrono> <cstdint> <filesystem> <functional> <map> <memory>
  <mutex> <optional> <set> <span> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector>
  <fmt/format.h>)
set(PRECOMPILED_ACTORS <caf/actor_system.hpp> <caf/typed_event_based_actor.hpp> <caf/scoped_actor.hpp> <caf/send.hpp>)
set(PRECOMPILED_TESTS <fstream> <sstream> <gtest/gtest.h>)
