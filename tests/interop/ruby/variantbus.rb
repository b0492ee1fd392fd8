# frozen_string_literal: true

# A client in Ruby, written from docs/protocol.md alone. Copy what you need of it:
#
#     require_relative "variantbus"
#     Variantbus::Subscriber.new("tcp://127.0.0.1:5571", "variant.status.", start: :latest).run { |event| p event }
#
# Its libraries are Debian's ruby-ffi-rzmq and ruby-msgpack, or the gems ffi-rzmq and msgpack. It has one thread and one
# request at a time: while it asks, the feed waits in its socket, and what the feed loses meanwhile is fetched.

require "ffi-rzmq"
require "msgpack"

module Variantbus
  VERSION = 1
  HEARTBEAT = "~heartbeat."
  SILENCE = 4.0 # seconds: three heartbeats are missing
  URGE = 0.05   # seconds between two requests for the first heartbeat
  ASK = 3.0     # seconds until a request counts as unanswered
  RETURN = 0.25 # the same for the first `info` after a stop, which may still reach the process that ends

  # An event as it is handed over. `how` is :live or :fetched, :latest for the newest one of its topic, or :ephemeral.
  Event = Struct.new(:how, :epoch, :offset, :topic, :time_ns, :body)

  # What could not be handed over. `kind` is :truncated (retention has removed what is between `at` and `to`), :rewound
  # (another log, or one that lost its end: reading continues after `to`, it was at `at`), or :damaged (the event `at`).
  Notice = Struct.new(:kind, :at, :to)

  # From now on everything arrives at once. It comes again after each new connection.
  Ready = Struct.new(:service, :epoch, :position)

  # A request was refused, or (with the code "unavailable") not answered in time.
  class RequestError < StandardError
    attr_reader :code, :details

    def initialize(code, message, details = {})
      super(message)
      @code, @details = code, details
    end
  end

  # The epoch, or the end of the log, is not what we know: `info` says how to continue.
  class OtherLog < StandardError; end

  def self.now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # Tokens to a topic: every byte that is no ASCII letter, digit, `_` or `-` is written %XX.
  def self.topic(*tokens)
    tokens.map { |token| "#{token.to_s.b.gsub(/[^A-Za-z0-9_-]/n) { |byte| format("%%%02X", byte.ord) }}." }.join
  end

  # A topic to its tokens.
  def self.tokens(topic)
    topic.split(".").map { |token| token.b.gsub(/%(..)/) { $1.hex.chr }.force_encoding("UTF-8") }
  end

  # Ruby's integers have any size. Bodies of other applications may hold extension types that we do not know.
  def self.unpack(bytes) = MessagePack.unpack(bytes, allow_unknown_ext: true)

  # Makes sockets, with `curve: { public:, secret:, server: }` in Z85 where the publisher wants keys.
  class Sockets
    def initialize(curve)
      @context, @curve = ZMQ::Context.new, curve
    end

    def connect(kind, address)
      socket = @context.socket(kind)
      socket.setsockopt(ZMQ::LINGER, 0)
      socket.setsockopt(ZMQ::IPV6, 1) if address.include?("[")
      if @curve
        socket.setsockopt(ZMQ::CURVE_PUBLICKEY, @curve[:public])
        socket.setsockopt(ZMQ::CURVE_SECRETKEY, @curve[:secret])
        socket.setsockopt(ZMQ::CURVE_SERVERKEY, @curve[:server])
      end
      raise ArgumentError, "#{address} is no address: #{ZMQ::Util.error_string}" if socket.connect(address) < 0
      socket
    end

    # The frames of the next message; nil if none comes within so many seconds.
    def self.receive(socket, seconds)
      socket.setsockopt(ZMQ::RCVTIMEO, (seconds * 1000).ceil)
      frames = []
      socket.recv_strings(frames) < 0 ? nil : frames
    end
  end

  # The control socket: one request at a time. A DEALER sends exactly three frames, without an empty one before them.
  class Control
    def initialize(address, sockets)
      @address, @sockets, @asked = address, sockets, 0
    end

    # Parameters must hold text as msgpack's str, which Ruby's String is unless its encoding is binary.
    def ask(method, params = {}, seconds: ASK)
      @socket ||= @sockets.connect(ZMQ::DEALER, @address)
      id = (@asked += 1).to_s
      @socket.send_strings([id, method, params.to_msgpack])
      deadline = Variantbus.now + seconds
      while (left = deadline - Variantbus.now).positive?
        frames = Sockets.receive(@socket, left)
        next unless frames && frames[0] == id # the late answer to another request
        return Variantbus.unpack(frames[2]) if frames[1] == "ok"
        raise RequestError.new(*Variantbus.unpack(frames[2]).values_at("code", "message", "details"))
      end
      close # otherwise the request would still be sent when the publisher is back
      raise RequestError.new("unavailable", "no answer to #{method} from #{@address} within #{seconds} s")
    end

    def close
      @socket&.close
      @socket = nil
    end
  end

  # Follows one prefix of one publisher; the empty prefix is everything.
  class Subscriber
    attr_reader :epoch, :position # every event of the prefix up to here was handed over

    # `start` is :beginning, :now (what comes from now on), :latest (first the newest event of each topic), or a stored
    # position [epoch, offset], which was written in the same transaction as what was done with the event. `feed` is for
    # forwarded ports: the address of the feed as it is seen from here.
    def initialize(address, prefix, start: :beginning, feed: nil, curve: nil)
      @address, @prefix, @start, @feed_here = address, prefix, start, feed
      @width = prefix.count(".")
      @epoch, @position = start if start.is_a?(Array)
      @sockets = Sockets.new(curve)
      @control = Control.new(address, @sockets)
      @ready, @patience = false, RETURN
    end

    # Hand over events and notices until the block breaks. What gets no answer is asked again at the next heartbeat.
    def run(&handler)
      @handler = handler
      loop do
        step
      rescue OtherLog
        @unsure = true
      rescue RequestError => error
        raise unless error.code == "unavailable"
      end
    ensure
      disconnect
    end

    private

    def step
      return connect unless @feed
      return receive unless @unsure
      settle(@control.ask("info"))
      @unsure = false
    end

    def connect
      @patience = [2 * @patience, ASK].min
      info = @control.ask("info", seconds: @patience)
      raise "protocol #{info["protocol"]} is not #{VERSION}; update this client" unless info["protocol"] == VERSION
      settle(info)
      @service, @connected_epoch, @heard = info["service"], info["epoch"], Variantbus.now
      @ready, @patience = false, RETURN
      @feed_address = @feed_here || feed_address(info["feed"])
      @feed = @sockets.connect(ZMQ::SUB, @feed_address)
      @feed.setsockopt(ZMQ::SUBSCRIBE, @prefix)
      @feed.setsockopt(ZMQ::SUBSCRIBE, HEARTBEAT) # last: when one arrives, both subscriptions are active
    end

    # A publisher that listens on every interface is reached as its control socket is.
    def feed_address(feed) = feed.sub(%r{//(0\.0\.0\.0|\[::\]):}, "//#{@address[%r{//(.+):}, 1]}:")

    def disconnect
      @feed&.close
      @feed = nil
      @control.close
    end

    def receive
      @control.ask("heartbeat") unless @ready
      topic, frame = Sockets.receive(@feed, @ready ? SILENCE / 4 : URGE)
      if topic.nil?
        disconnect if Variantbus.now - @heard > SILENCE
        return
      end
      @heard = Variantbus.now
      version, *fields = Variantbus.unpack(frame)
      return unless version == VERSION
      topic == HEARTBEAT ? heartbeat(*fields) : message(topic.force_encoding("UTF-8"), *fields)
    end

    # A lost last message shows in no later one, but in the head of the next heartbeat.
    def heartbeat(epoch, head, first, _time_ns, info)
      return disconnect if info["closing"] # its feed may be elsewhere when it is back
      check_publisher(epoch) unless @ready
      raise OtherLog if epoch != @epoch || head < @position
      truncate(first)
      catch_up if head > @position
      @handler.call(Ready.new(@service, @epoch, @position)) unless @ready
      @ready = true
    end

    def catch_up
      found = ask("check", prefix: @prefix, after: @position)
      found["last"].zero? ? @position = [@position, found["head"]].max : fetch(found["last"])
    end

    # The chain says which event of our prefix comes before this one.
    def message(topic, epoch, offset, chain, time_ns, body)
      raise OtherLog if epoch != @epoch # a new one, or the feed is another publisher's: the next heartbeat shows which
      return @handler.call(Event.new(:ephemeral, epoch, 0, topic, time_ns, body)) if offset.zero?
      return if offset <= @position # a repetition
      previous = @width.zero? ? offset - 1 : chain[@width - 1]
      fetch(previous || offset - 1) if previous.nil? || previous > @position
      deliver(:live, offset, topic, time_ns, body)
    end

    def fetch(limit)
      while @position < limit
        page = ask("fetch", prefix: @prefix, after: @position, until: limit)
        raise OtherLog if page["head"] < limit
        page["damaged"].each { |offset| @handler.call(Notice.new(:damaged, offset)) }
        page["events"].each { |event| deliver(:fetched, *event) }
        @position = [@position, page["next"]].max
      end
    end

    # Ask about the log. A reply of another epoch says nothing about ours; retention may have overtaken us.
    def ask(method, params)
      reply = @control.ask(method, params)
      raise OtherLog if reply["epoch"] != @epoch
      truncate(reply["first"]) unless method == "latest"
      reply
    end

    # Retention has removed what is before `first`: the newest events of status topics repair what they can.
    def truncate(first)
      return if first - 1 <= @position
      events, damaged, = newest
      @handler.call(Notice.new(:truncated, @position, first))
      take_over(events, damaged, first - 1)
    end

    # The newest event of each topic, which of them are damaged, and the head of the first page.
    def newest
      events, damaged, head, after_topic = [], [], nil, ""
      loop do
        page = ask("latest", prefix: @prefix, after_topic: after_topic)
        head ||= page["head"]
        events += page["events"]
        damaged += page["damaged"]
        after_topic = page["next"]
        return [events, damaged, head] if after_topic.empty?
      end
    end

    # Hand over these newest events up to an offset, and continue there: what is newer comes from the log.
    def take_over(events, damaged, limit)
      wanted = (@position + 1)..limit
      damaged.each { |offset| @handler.call(Notice.new(:damaged, offset)) if wanted.cover?(offset) }
      events.sort_by(&:first).each { |event| deliver(:latest, *event) if wanted.cover?(event[0]) }
      @position = limit
    end

    def deliver(how, offset, topic, time_ns, body)
      return if offset <= @position
      @position = offset unless how == :latest # only all of these together are complete
      @handler.call(Event.new(how, @epoch, offset, topic, time_ns, body))
    end

    # Where to continue in the log that `info` describes.
    def settle(info)
      epoch, head, epochs = info.values_at("epoch", "head", "epochs")
      if @position.nil?
        begin_in(epoch, head)
      elsif epoch != @epoch
        index = epochs.index { |one, _start| one == @epoch }
        rewind(index ? [@position, *epochs.drop(index + 1).map(&:last)].min : 0)
        @epoch = epoch
      elsif head < @position
        rewind(head)
      end
    end

    def begin_in(epoch, head)
      @epoch = epoch
      events, damaged, head = newest if @start == :latest
      @position = 0 unless @start == :now
      take_over(events, damaged, head) if @start == :latest
      @position ||= head
    end

    def rewind(to)
      return if to >= @position
      @handler.call(Notice.new(:rewound, @position, to))
      @position = to
    end

    # The first heartbeat must be of the publisher that told us where its feed is; it may have a new epoch by now.
    def check_publisher(epoch)
      return if epoch == @connected_epoch || epoch == @control.ask("info")["epoch"]
      raise "the feed at #{@feed_address} belongs to another publisher than #{@address}; name the right one (feed:)"
    end
  end
end
