#include "http/request.hpp"

namespace runledger::http {

std::string_view request::param(std::string_view name) const {
  for (std::size_t i = 0; i < param_count_; ++i)
    if (params_[i].name == name)
      return params_[i].value;
  return {};
}

std::optional<std::string_view> request::query(std::string_view name) const {
  for (const auto& each : queries_)
    if (each.name == name)
      return each.value;
  return std::nullopt;
}

std::optional<std::string_view> request::header(std::string_view name) const {
  for (const auto& each : fields_)
    if (same_text(each.name, name))
      return each.value;
  return std::nullopt;
}

} // namespace runledger::http
