#include "actors/harness/event_loop.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>

namespace runledger::harness {

namespace {

constexpr std::uint64_t slot_bits = 3;
constexpr std::uint64_t wake_mark = ~std::uint64_t{0};

std::int64_t monotonic_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

} // namespace

event_loop::event_loop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      now_ms_(monotonic_ms()) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = wake_mark;
  if (!epoll_ || !wake_ || ::epoll_ctl(epoll_.raw(), EPOLL_CTL_ADD, wake_.raw(), &event) != 0)
    throw std::system_error{errno, std::generic_category(), "event loop of the harness host"};
}

void event_loop::add(int fd, std::uint64_t process, slot what, bool writing) {
  epoll_event event{};
  event.events = writing ? EPOLLOUT : EPOLLIN;
  event.data.u64 = process << slot_bits | static_cast<std::uint64_t>(what);
  ::epoll_ctl(epoll_.raw(), EPOLL_CTL_ADD, fd, &event);
}

void event_loop::remove(int fd) {
  ::epoll_ctl(epoll_.raw(), EPOLL_CTL_DEL, fd, nullptr);
}

void event_loop::arm(std::uint64_t process, timer kind, std::int64_t when) {
  due_.push({when, process, kind});
}

void event_loop::wake() const {
  std::uint64_t one = 1;
  (void)!::write(wake_.raw(), &one, sizeof one); // Full means that it is awake already.
}

void event_loop::turn(std::int64_t max_wait_ms,
                      const std::function<void(std::uint64_t, slot)>& on_descriptor,
                      const std::function<void(std::uint64_t, timer)>& on_timer) {
  now_ms_ = monotonic_ms();
  auto wait = max_wait_ms;
  if (!due_.empty())
    wait = std::clamp<std::int64_t>(due_.top().when - now_ms_, 0, max_wait_ms);
  std::array<epoll_event, 128> events;
  int n = ::epoll_wait(epoll_.raw(), events.data(), events.size(), static_cast<int>(wait));
  now_ms_ = monotonic_ms();
  for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(n, 0)); ++i) {
    auto mark = events[i].data.u64;
    if (mark == wake_mark) {
      std::uint64_t count = 0;
      (void)!::read(wake_.raw(), &count, sizeof count);
    } else {
      on_descriptor(mark >> slot_bits, static_cast<slot>(mark & ((1U << slot_bits) - 1)));
    }
  }
  while (!due_.empty() && due_.top().when <= now_ms_) {
    auto next = due_.top();
    due_.pop();
    on_timer(next.process, next.kind);
  }
}

} // namespace runledger::harness
