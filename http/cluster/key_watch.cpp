#include "http/cluster/key_watch.hpp"

#include <ctime>
#include <utility>

namespace runledger::http {

namespace {

constexpr int ticks_in_a_session = 12;

} // namespace

std::chrono::milliseconds time_since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec});
}

key_watch::key_watch(net::io_context& io, authenticator& keys, std::chrono::milliseconds session,
                     parts with)
    : io_(io), keys_(keys), session_(session), parts_(std::move(with)), timer_(io) {}

void key_watch::begin(std::function<void()> then) {
  then_ = std::move(then);
  self_ = std::make_shared<key_watch*>(this);
  seen_ = parts_.now();
  tick();
}

void key_watch::stop() {
  self_ = nullptr;
  then_ = nullptr;
  timer_.cancel();
}

bool key_watch::answers() const {
  return standing_ != standing::unknown && !slept();
}

result<principal_ptr, auth_refusal> key_watch::authenticate(std::string_view authorization,
                                                            std::string_view api_key) {
  if (!answers())
    return auth_refusal{"This server is finding out which keys were revoked meanwhile.",
                        fault::not_ready};
  return keys_.authenticate(authorization, api_key);
}

void key_watch::tick() {
  look();
  seen_ = parts_.now();
  timer_.expires_after(session_ / ticks_in_a_session);
  timer_.async_wait([this, self = std::weak_ptr{self_}](const error_code& ec) {
    if (!ec && self.lock())
      tick();
  });
}

void key_watch::look() {
  const bool late = slept(), member = parts_.is_member(), stale = parts_.is_stale();
  now_.member = member;
  now_.sleeps += late ? 1 : 0;
  now_.absences += member ? 0 : 1;
  if (late || (standing_ == standing::known && !member)) {
    // Awake and cut off from the brokers, it knows as little as anybody can tell it.
    standing_ = !late && stale ? standing::old : standing::unknown;
    return; // Asks with the next tick: the group may not have said yet that it was left.
  }
  if (standing_ == standing::known && stale)
    standing_ = standing::old;
  if (standing_ != standing::known)
    ask();
}

void key_watch::ask() {
  if (std::exchange(asking_, true))
    return;
  parts_.when_current([this, &io = io_, asked = now_, self = std::weak_ptr{self_}](bool current) {
    net::post(io, [this, asked, self, current] {
      if (!self.lock())
        return;
      if (!current)
        return heard(asked, false, false);
      parts_.load([this, asked, self](bool loaded) {
        if (self.lock())
          heard(asked, true, loaded);
      });
    });
  });
}

/// What was asked before the last sleep says nothing, and what a member knows counts only if it was
/// one all the time.
void key_watch::heard(const question& asked, bool current, bool loaded) {
  asking_ = false;
  if (slept() || asked.sleeps != now_.sleeps)
    return;
  if (!current) {
    if (parts_.is_stale())
      standing_ = standing::old;
    return;
  }
  const bool member = asked.member && asked.absences == now_.absences && parts_.is_member();
  standing_ = loaded && member ? standing::known : standing::unknown;
  if (standing_ == standing::known && then_)
    std::exchange(then_, nullptr)();
}

} // namespace runledger::http
