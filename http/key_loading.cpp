#include "http/key_loading.hpp"

#include "projections/queries/keys.hpp"

namespace runledger::http {

namespace {

std::optional<std::vector<known_key>> read_keys(views::view_reader& reader) {
  auto rows = views::all_valid_keys(reader);
  if (!rows)
    return std::nullopt;
  std::vector<known_key> out;
  out.reserve(rows->size());
  for (auto& row : *rows)
    out.push_back(
        {std::move(row.id), std::move(row.workspace), row.scopes, row.secret_hash, row.expires_at});
  return out;
}

} // namespace

void load_keys(route_context& c, std::function<void(bool)> done) {
  const auto as_of = c.keys.generation();
  // What was added up to now is durable; the views hold it before they are asked.
  c.views.when_caught_up([&c, as_of, done = std::move(done)] {
    c.queries->run([&c, as_of, done](views::view_reader& reader) {
      auto keys = std::make_shared<std::optional<std::vector<known_key>>>(read_keys(reader));
      net::post(c.io, [&c, as_of, done, keys] {
        if (*keys)
          c.keys.load(**keys, as_of);
        if (done)
          done(keys->has_value());
      });
    });
  });
}

bool load_keys_now(route_context& c) {
  const auto as_of = c.keys.generation();
  auto keys = read_keys(*c.reader);
  if (keys)
    c.keys.load(*keys, as_of);
  return keys.has_value();
}

} // namespace runledger::http
