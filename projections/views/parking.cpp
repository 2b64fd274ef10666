#include "projections/views/parking.hpp"

namespace runledger::views {

parking::parking(sqlite::connection& db)
    : db_(db),
      insert_(db, "INSERT INTO parked(view, entity, stream, seq, at, reason) VALUES(?,?,?,?,?,?)") {
  forget();
}

void parking::park(std::string_view view, const std::string& entity, const record& r,
                   std::string reason) {
  if (!parked_.emplace(entity, view).second)
    return;
  fresh_.push_back({entity, std::string{view}, r.event.stream, r.event.seq,
                    place_at(r.partition, r.offset), std::move(reason)});
}

void parking::write() {
  for (const auto& one : fresh_)
    insert_.with(one.view, one.entity, one.stream, one.seq, one.at, one.reason).run();
}

void parking::forget() {
  fresh_.clear();
  parked_.clear();
  query all{db_, "SELECT entity, view FROM parked"};
  while (all.row()) {
    auto row = all.values();
    auto entity = row.text();
    parked_.emplace(std::move(entity), row.text());
  }
}

} // namespace runledger::views
