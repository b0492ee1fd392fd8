# frozen_string_literal: true

# Follow a prefix, and print JSON lines: `ready`, `event`, `notice`. It runs until it is ended.
#
#     ruby follow.rb CONTROL PREFIX [beginning|now|latest|EPOCH:OFFSET]
#
# With CURVE_PUBLIC, CURVE_SECRET and CURVE_SERVER in the environment, it speaks with keys.

require "json"
require_relative "variantbus"

address, prefix, from = ARGV
start = from.to_s.include?(":") ? from.split(":").map(&:to_i) : (from || "beginning").to_sym
keys = %w[PUBLIC SECRET SERVER].to_h { |name| [name.downcase.to_sym, ENV["CURVE_#{name}"]] }
%w[INT TERM].each { |signal| trap(signal) { exit } }
$stdout.sync = true

subscriber = Variantbus::Subscriber.new(address, prefix, start: start, curve: keys[:server] && keys)
subscriber.run do |got| # a Ready, an Event or a Notice
  puts JSON.generate({ what: got.class.name.split("::").last.downcase, **got.to_h })
end
