#include "tests/sim/queue_wires.hpp"

#include "actors/remote_queue.hpp"

#include <algorithm>

namespace runledger::sim {

class queue_wires::end final : public queue_line {
public:
  end(std::shared_ptr<wire> of, std::size_t side) : wire_(std::move(of)), side_(side) {}
  void send(std::string message) override {
    if (!wire_->closed && !wire_->over)
      wire_->on_the_way[side_].push_back(std::move(message));
  }
  void close() override { wire_->closed = true; }

private:
  std::shared_ptr<wire> wire_;
  std::size_t side_;
};

class queue_wires::ways final : public queue_lines {
public:
  ways(queue_wires& of, std::size_t server) : of_(of), server_(server) {}
  std::shared_ptr<queue_line> open(const stream_id& queue, std::uint32_t partition,
                                   line_listener to) override {
    auto made = std::make_shared<wire>();
    made->queue = queue;
    made->partition = partition;
    made->servers[0] = server_;
    made->ends[0] = std::move(to);
    of_.wires_.push_back(made);
    return std::make_shared<end>(made, 0);
  }

private:
  queue_wires& of_;
  std::size_t server_;
};

queue_wires::queue_wires(world& w) : world_(w) {
  w.lines_of = [this](std::size_t number) {
    auto& way = ways_[number];
    way = std::make_unique<ways>(*this, number);
    return way.get();
  };
}

queue_wires::~queue_wires() {
  world_.lines_of = nullptr;
}

void queue_wires::take(const std::shared_ptr<wire>& which) {
  which->taken = true;
  for (auto& one : world_.servers())
    if (one->alive && one->number != which->servers[0]
        && one->actors->partitions.holds(which->partition) && !away) {
      which->servers[1] = one->number;
      which->ends[1] = take_line(one->directory->home_system(), one->actors, which->queue,
                                 std::make_shared<end>(which, 1));
      return;
    }
  break_off(*which);
}

void queue_wires::break_off(wire& which) {
  which.over = true;
  for (std::size_t side = 0; side < 2; ++side) {
    which.on_the_way[side].clear();
    auto to = std::exchange(which.ends[side], {});
    if (to.over)
      to.over();
  }
}

bool queue_wires::can_step(const wire& one) {
  return !one.taken || one.closed || !one.on_the_way[0].empty() || !one.on_the_way[1].empty();
}

bool queue_wires::step(const std::function<std::size_t(std::size_t)>& choose) {
  std::erase_if(wires_, [](const auto& one) { return one->over; });
  if (slow)
    return false;
  std::vector<std::shared_ptr<wire>> ready;
  std::ranges::copy_if(wires_, std::back_inserter(ready),
                       [](const auto& one) { return can_step(*one); });
  if (ready.empty())
    return false;
  auto one = ready[choose(ready.size())];
  if (!one->taken) {
    take(one);
    return true;
  }
  const auto side = one->on_the_way[0].empty() ? 1U : one->on_the_way[1].empty() ? 0U : choose(2);
  if (one->on_the_way[side].empty()) {
    break_off(*one);
    return true;
  }
  auto text = std::move(one->on_the_way[side].front());
  one->on_the_way[side].pop_front();
  world_.story.note("line " + std::to_string(one->servers[side]) + ": "
                    + text.substr(0, text.find('\n')));
  if (const auto& to = one->ends[1 - side]; to.heard)
    to.heard(std::move(text));
  return true;
}

void queue_wires::cut(std::size_t of_server) {
  for (auto& one : wires_)
    if (of_server == 0 || one->servers[0] == of_server || one->servers[1] == of_server) {
      one->taken = true;
      break_off(*one);
    }
}

std::size_t queue_wires::open() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(wires_, [](const auto& one) { return one->taken && !one->over; }));
}

std::size_t queue_wires::on_the_way() const {
  std::size_t out = 0;
  for (const auto& one : wires_)
    out += one->on_the_way[0].size() + one->on_the_way[1].size();
  return out;
}

} // namespace runledger::sim
