#pragma once

#include <functional>
#include <memory>
#include <utility>

namespace runledger {

/// A place in the queue that a request holds while it is on its way. It is given back when the last
/// copy goes, from wherever the request ends up, unless the run was accepted. Any thread.
class held_place {
public:
  held_place() = default; ///< None is held.
  explicit held_place(std::function<void()> give_back)
      : duty_(std::make_shared<duty>(std::move(give_back))) {}

  explicit operator bool() const { return duty_ != nullptr; }
  /// The run was accepted: the place is its own now.
  void keep() const {
    if (duty_)
      duty_->give_back = nullptr;
  }
  /// Gives it back now, unless somebody else holds a copy.
  void reset() { duty_.reset(); }

private:
  struct duty {
    explicit duty(std::function<void()> f) : give_back(std::move(f)) {}
    ~duty() {
      if (give_back)
        give_back();
    }
    duty(const duty&) = delete;
    duty& operator=(const duty&) = delete;
    std::function<void()> give_back;
  };
  std::shared_ptr<duty> duty_;
};

} // namespace runledger
