#include "http/deadlines.hpp"

#include <algorithm>

namespace runledger::http {
namespace {

/// The first tick that is not before `when`.
std::int64_t tick_at(steady::time_point when) {
  const auto since = when.time_since_epoch();
  const auto whole = since / deadline_wheel::tick;
  return since % deadline_wheel::tick == since.zero() ? whole : whole + 1;
}

/// The last tick that has begun.
std::int64_t tick_now() {
  return steady::now().time_since_epoch() / deadline_wheel::tick;
}

} // namespace

deadline_node::~deadline_node() {
  unlink();
}

void deadline_node::unlink() {
  if (link_ == nullptr)
    return;
  *link_ = next_;
  if (next_ != nullptr)
    next_->link_ = link_;
  next_ = nullptr;
  link_ = nullptr;
}

deadline_wheel::deadline_wheel(net::io_context& io)
    : slots_(slots, nullptr), done_(tick_now()), timer_(io.get_executor()) {}

deadline_wheel::~deadline_wheel() {
  for (auto*& first : slots_)
    while (first != nullptr)
      first->unlink();
}

void deadline_wheel::set(deadline_node& node, steady::time_point when) {
  node.due_ = std::max(tick_at(when), done_ + 1);
  if (node.link_ != nullptr && node.slot_tick_ <= node.due_)
    return;
  node.unlink();
  link(node, node.due_);
}

void deadline_wheel::clear(deadline_node& node) {
  node.unlink();
}

void deadline_wheel::link(deadline_node& node, std::int64_t at) {
  const std::int64_t slot_tick = std::min(at, done_ + slots - 1);
  auto*& first = slots_[static_cast<std::size_t>(slot_tick % slots)];
  node.slot_tick_ = slot_tick;
  node.next_ = first;
  node.link_ = &first;
  if (first != nullptr)
    first->link_ = &node.next_;
  first = &node;
  if (armed_ == 0 || slot_tick < armed_)
    arm(slot_tick);
}

void deadline_wheel::arm(std::int64_t at) {
  armed_ = at;
  timer_.expires_at(steady::time_point{tick * at});
  timer_.async_wait([this](const error_code& ec) {
    if (!ec)
      fire();
  });
}

void deadline_wheel::fire() {
  armed_ = 0;
  const std::int64_t now = std::max(tick_now(), done_);
  deadline_node* due = nullptr;
  for (std::int64_t at = done_ + 1; at <= std::min(now, done_ + slots); ++at) {
    auto*& first = slots_[static_cast<std::size_t>(at % slots)];
    while (deadline_node* node = first) {
      node->unlink();
      node->next_ = due;
      node->link_ = &due;
      if (due != nullptr)
        due->link_ = &node->next_;
      due = node;
    }
  }
  done_ = now;
  while (due != nullptr) {
    deadline_node* node = due;
    node->unlink();
    if (node->due_ > now)
      link(*node, node->due_);
    else
      node->on_deadline();
  }
  for (std::int64_t at = done_ + 1; at < done_ + slots; ++at)
    if (slots_[static_cast<std::size_t>(at % slots)] != nullptr) {
      if (armed_ == 0 || at < armed_)
        arm(at);
      return;
    }
}

} // namespace runledger::http
