#include "events/log/ledger_copy.hpp"

#include "events/codec.hpp"
#include "events/log/event_copying.hpp"
#include "events/log/partition_sealing.hpp"
#include "events/partition.hpp"

#include <algorithm>

namespace runledger {

namespace {

constexpr std::size_t own_page = 500;
constexpr std::string_view copier = "ledger-copy";

copy_error unreadable(const std::string& what, const read_error& e) {
  const bool damaged = e.what == read_error::kind::corrupt;
  return {damaged ? copy_error::kind::damaged : copy_error::kind::failed,
          what + (damaged ? " is damaged: " : " cannot be read: ") + e.detail};
}

/// The id in a partition's founding event; empty: it has none.
result<std::string, read_error> ledger_of(const event_log& log, std::uint32_t partition) {
  auto first = log.read_stream(partition_stream(log.partition_name(partition)), 1, 1);
  if (!first)
    return first.error();
  const auto opened = first->empty() ? std::nullopt : read_opened(first->front()->event.data);
  return opened ? opened->ledger : std::string{};
}

bool holds_nothing(const event_log& log) {
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    if (log.end_offset(p) > 0)
      return false;
  return true;
}

result<void, copy_error> look_at_source(const event_log& from, copy_state& out) {
  auto id = ledger_of(from, 0);
  if (!id)
    return unreadable("the source", id.error());
  if (id->empty())
    return copy_error{copy_error::kind::refused, "the source holds no ledger"};
  out.from_ledger = *id;
  const auto facts = copy_facts_of(from);
  if (!facts)
    return unreadable("the source", facts.error());
  if (facts->started && !facts->ended)
    return copy_error{copy_error::kind::refused,
                      "the source is itself a copy that is not whole: finish that one first, from "
                          + facts->started->from};
  out.sealed = true;
  for (std::uint32_t p = 0; p < from.partition_count(); ++p) {
    if (!from.partition_state(p).sealed) {
      out.sealed = false;
      continue;
    }
    auto seal = seal_of(from, p);
    if (!seal)
      return unreadable("the source", seal.error());
    if (!out.seal)
      out.seal = *seal;
  }
  return {};
}

result<void, copy_error> look_at_target(const event_log* to, const std::string& to_name,
                                        copy_state& out) {
  out.target_empty = to == nullptr || holds_nothing(*to);
  if (out.target_empty) {
    if (out.seal && out.seal->to != to_name)
      return copy_error{copy_error::kind::refused,
                        "the source was sealed for " + out.seal->to + " and goes on there; "
                            + to_name + " is empty. Name the target as it was named then"};
    return {};
  }
  // The first partition is founded before any other.
  auto id = ledger_of(*to, 0);
  if (!id)
    return unreadable("the target", id.error());
  if (!out.seal || out.seal->ledger != *id)
    return copy_error{copy_error::kind::refused,
                      to_name + " is not empty: it holds "
                          + (id->empty() ? "no ledger that can be read" : "the ledger " + *id)
                          + ", which is no copy of this source. Nothing was written; name an empty "
                            "one"};
  const auto facts = copy_facts_of(*to);
  if (!facts)
    return unreadable("the target", facts.error());
  out.done = facts->ended.has_value();
  if (facts->started)
    return {};
  const auto unused = holds_no_more_than_a_beginning(*to, copier);
  if (!unused)
    return unreadable("the target", unused.error());
  if (!*unused)
    return copy_error{copy_error::kind::refused,
                      "a server has written to " + to_name
                          + " before the copy had begun there. Nothing was written; remove what is "
                            "there, then run this again"};
  return {};
}

} // namespace

result<copy_facts, read_error> copy_facts_of(const event_log& log) {
  copy_facts out;
  const auto own = partition_stream(log.partition_name(0));
  for (std::uint64_t from = 1;; from += own_page) {
    const auto page = log.read_stream(own, from, own_page);
    if (!page)
      return page.error();
    for (const auto& r : *page) {
      auto fact = decode<partition_event>(r->event);
      if (!fact)
        continue;
      if (std::holds_alternative<tree_head>(*fact))
        return out; // A copy signs none: what follows is the ledger's own life.
      if (auto* started = std::get_if<ledger_copy_started>(&*fact); started && !out.started)
        out.started = std::move(*started);
      if (auto* ended = std::get_if<ledger_copied>(&*fact))
        out.ended = std::move(*ended);
    }
    if (page->size() < own_page)
      return out;
  }
}

result<std::optional<std::string>, read_error> why_sealed(const event_log& log) {
  for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
    if (!log.partition_state(p).sealed)
      continue;
    const auto seal = seal_of(log, p);
    if (!seal)
      return seal.error();
    auto text = "the ledger is sealed: it was copied";
    return std::optional{*seal ? text + (" to " + (*seal)->to) + " and goes on there as the ledger "
                                     + (*seal)->ledger + "; start the server on that one"
                               : text + std::string{" elsewhere"}};
  }
  return std::optional<std::string>{};
}

result<std::optional<std::string>, read_error> why_closed(const event_log& log) {
  auto sealed = why_sealed(log);
  if (!sealed || *sealed)
    return sealed;
  const auto facts = copy_facts_of(log);
  if (!facts)
    return facts.error();
  if (facts->started && !facts->ended)
    return std::optional{"the ledger is a copy of " + facts->started->from
                         + " that is not whole: run `runledger ledger copy` to it again, which "
                           "goes on where it ended"};
  return std::optional<std::string>{};
}

result<copy_state, copy_error> look_at_copy(const event_log& from, const event_log* to,
                                            const std::string& to_name) {
  copy_state out;
  if (auto seen = look_at_source(from, out); !seen)
    return seen.error();
  if (auto seen = look_at_target(to, to_name, out); !seen)
    return seen.error();
  return out;
}

result<copy_report, copy_error> copy_ledger(const copy_options& options) {
  auto state = look_at_copy(*options.from.log, options.to.log, options.to.name);
  if (!state)
    return state.error();
  copy_report report;
  report.from_ledger = state->from_ledger;
  report.partitions = options.from.log->partition_count();
  const auto to_ledger =
      state->seal ? state->seal->ledger : options.ids->ulid(options.clock->now());
  report.to_ledger = to_ledger;
  if (state->done) {
    const auto facts = copy_facts_of(*options.to.log);
    report.was_done = true;
    report.events = facts && facts->ended ? facts->ended->events : 0;
    return report;
  }
  partition_sealing sealing{options, std::string{copier}, to_ledger};
  auto sealed = sealing.seal_all();
  if (!sealed)
    return sealed.error();
  event_copying copying{options,
                        std::string{copier},
                        {state->from_ledger, options.from.name, *std::move(sealed)},
                        to_ledger};
  if (auto copied = copying.run(report); !copied)
    return copied.error();
  return report;
}

} // namespace runledger
