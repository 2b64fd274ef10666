#include "cli/logging.hpp"

#include "events/json_writer.hpp"

#include <memory>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace runledger::cli {

namespace {

/// The message as a JSON string.
class quoted_message final : public spdlog::custom_flag_formatter {
public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& to) override {
    text_.clear();
    json_writer::append_quoted(text_, {message.payload.data(), message.payload.size()});
    to.append(text_.data(), text_.data() + text_.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return spdlog::details::make_unique<quoted_message>();
  }

private:
  std::string text_;
};

spdlog::level::level_enum level_of(log_level least) {
  switch (least) {
    case log_level::trace:
      return spdlog::level::trace;
    case log_level::debug:
      return spdlog::level::debug;
    case log_level::info:
      return spdlog::level::info;
    case log_level::warn:
      return spdlog::level::warn;
    case log_level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

} // namespace

void start_logging(log_level least, log_format format) {
  auto logger = std::make_shared<spdlog::logger>("runledger",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  const bool json =
      format == log_format::json || (format == log_format::automatic && !::isatty(STDERR_FILENO));
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  if (json)
    formatter->add_flag<quoted_message>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%*})");
  else
    formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-7l %v");
  logger->set_formatter(std::move(formatter));
  logger->set_level(level_of(least));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

} // namespace runledger::cli
