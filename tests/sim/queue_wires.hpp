#pragma once

#include "actors/queue_lines.hpp"
#include "tests/sim/world.hpp"

#include <deque>
#include <map>
#include <memory>
#include <vector>

namespace runledger::sim {

/// Lines between the servers of a world. What is said is on its way until step() brings it; a line
/// that breaks loses what is on its way. One thread.
class queue_wires {
public:
  explicit queue_wires(world& w);

  /// Brings one message, opens or ends one line: of those that can, the one that `choose` says.
  bool step(const std::function<std::size_t(std::size_t)>& choose);
  bool step() {
    return step([](std::size_t) { return 0; });
  }
  /// Every line breaks; with a number: those of this server.
  void cut(std::size_t of_server = 0);
  std::size_t open() const;
  std::size_t on_the_way() const;
  bool away = false; ///< No line can be opened.
  bool slow = false; ///< Nothing gets through.

private:
  struct wire {
    stream_id queue;
    std::uint32_t partition = 0;
    std::size_t servers[2] = {0, 0}; ///< Who opened it, who took it.
    line_listener ends[2];
    std::deque<std::string> on_the_way[2]; ///< By who said it.
    bool taken = false, closed = false, over = false;
  };
  class end;
  class ways;
  void take(const std::shared_ptr<wire>& which);
  static void break_off(wire& which);
  static bool can_step(const wire& one);

  world& world_;
  std::map<std::size_t, std::unique_ptr<ways>> ways_;
  std::vector<std::shared_ptr<wire>> wires_;

public:
  ~queue_wires();
};

} // namespace runledger::sim
