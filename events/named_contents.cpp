#include "events/named_contents.hpp"

#include "events/codec.hpp"
#include "events/json.hpp"
#include "events/run.hpp"

namespace runledger {

namespace {

std::optional<std::uint64_t> bytes_of(const std::optional<json::value>& size) {
  auto bytes = size ? size->integer() : std::nullopt;
  return bytes ? std::optional{static_cast<std::uint64_t>(*bytes)} : std::nullopt;
}

} // namespace

std::vector<named_content> named_contents(const envelope& e) {
  std::vector<named_content> out;
  if (const auto type = split_type(e.type); type && type->name == run::artifact_published::name) {
    auto fact = decode<run::event>(e);
    if (const auto* file = fact ? std::get_if<run::artifact_published>(&*fact) : nullptr)
      out.push_back({file->content, static_cast<std::uint64_t>(file->size_bytes)});
  }
  if (e.data.find("\"blobs\"") == std::string::npos)
    return out;
  auto parsed = json::parse(e.data);
  auto blobs = parsed ? parsed->root().find("blobs") : std::nullopt;
  if (!blobs || !blobs->is_object())
    return out;
  for (auto named : blobs->children()) {
    auto id = named.find("digest");
    auto hash = id && id->is_string() ? digest_from_hex(id->string()) : std::nullopt;
    if (hash)
      out.push_back({*hash, bytes_of(named.find("size"))});
  }
  return out;
}

} // namespace runledger
