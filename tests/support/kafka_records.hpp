#pragma once

#include "events/log/kafka_record.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Kafka records that own their bytes, so that tests can keep and change them.
namespace runledger::test {

struct kafka_header {
  std::string name;
  std::optional<std::string> value;
};

struct kafka_record {
  std::optional<std::string> key, value;
  std::vector<kafka_header> headers;

  kafka_record() = default;
  explicit kafka_record(const kafka::record_view& from) : key(from.key), value(from.value) {
    for (const auto& header : from.headers)
      headers.push_back({std::string{header.name}, std::optional<std::string>{header.value}});
  }

  /// The value of this header, which is added where it is not there.
  std::optional<std::string>& operator[](std::string_view name) {
    for (auto& header : headers)
      if (header.name == name)
        return header.value;
    headers.push_back({std::string{name}, std::nullopt});
    return headers.back().value;
  }

  result<kafka::decoded_record, std::string> decode() const {
    std::vector<kafka::header_view> views;
    for (const auto& header : headers)
      views.push_back({header.name, header.value});
    return kafka::decode({key, views, value});
  }
};

inline kafka_record written(const record& r, kafka::content_mode mode,
                            std::string_view origin = {}) {
  kafka::record_writer writer{mode};
  return kafka_record{writer.write(r, origin)};
}

/// True if both hold the same event, to the byte.
inline bool same_event(const envelope& a, const envelope& b) {
  std::string headers[2];
  append_canonical_header(headers[0], a);
  append_canonical_header(headers[1], b);
  return headers[0] == headers[1] && a.data == b.data && a.eventhash == b.eventhash;
}

} // namespace runledger::test
