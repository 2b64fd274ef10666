#include "events/fork.hpp"

namespace runledger::run {

bool inheritance::add(std::uint64_t seq, const event& fact) {
  if (point_)
    return false;
  std::visit(overloaded{[&](const started& e) {
                          for (const auto& one : e.inherited) {
                            if (one.key == at_) {
                              point_ = session::fork_point{at_, seq + 1};
                              return;
                            }
                            steps_.push_back(one);
                          }
                        },
                        [&](const step_started& e) {
                          if (e.key == at_)
                            point_ = session::fork_point{at_, seq};
                        },
                        [&](const step_completed& e) {
                          steps_.push_back({e.key, parent_, seq, false});
                        },
                        [&](const step_failed& e) {
                          steps_.push_back({e.key, parent_, seq, true});
                        },
                        [](const auto&) {}},
             fact);
  return !point_;
}

} // namespace runledger::run
