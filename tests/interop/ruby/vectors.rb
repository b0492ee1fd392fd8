# frozen_string_literal: true

# Read every test vector and write it again: what it says must be its value, and what is written its bytes.
#
#     ruby vectors.rb FOLDER
#
# prints how many there are, or which one fails.

require "json"
require_relative "variantbus"

# The frames of a message that are msgpack; the others are text.
PACKED = { "feed" => [1], "heartbeats" => [1], "requests" => [2], "replies" => [2], "errors" => [2] }.freeze
# In these, our writer gives the number of a map's entries in more bytes than it needs, which MessagePack allows: it does
# so where the type of the map has sixteen fields or more, though some are left out. Each reader has to take both.
LONGER = ["experiment.status, over two prompts"].freeze

def read(kind, frames)
  return Variantbus.tokens(frames[0]) if kind == "topics"
  frames.each_with_index.map do |frame, at|
    PACKED[kind].include?(at) ? Variantbus.unpack(frame) : frame.dup.force_encoding("UTF-8")
  end
end

def write(kind, value)
  return [Variantbus.topic(*value)] if kind == "topics"
  value.each_with_index.map { |part, at| PACKED[kind].include?(at) ? part.to_msgpack : part.b }
end

count = 0
Dir[File.join(ARGV.fetch(0), "*.json")].sort.each do |path|
  kind = File.basename(path, ".json")
  JSON.parse(File.read(path)).each do |vector|
    frames = vector["hex"].map { |hex| [hex].pack("H*") }
    found = read(kind, frames)
    abort "#{kind}, #{vector["name"]}: read as #{found}" unless found == vector["value"]
    frames = write(kind, vector["value"])
    written = frames.map { |frame| frame.unpack1("H*") }
    is_same = LONGER.include?(vector["name"]) ? read(kind, frames) == vector["value"] : written == vector["hex"]
    abort "#{kind}, #{vector["name"]}: written as #{written}" unless is_same
    count += 1
  end
end
puts "#{count} vectors"
