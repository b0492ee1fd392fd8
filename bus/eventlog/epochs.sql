-- select_epochs: the newest epochs, oldest first.
SELECT epoch, start FROM (SELECT number, epoch, start FROM epochs ORDER BY number DESC LIMIT ?) ORDER BY number;

-- insert_epoch: begin an epoch.
INSERT INTO epochs (epoch, start) VALUES (?, ?);

-- select_closing: how the log was left.
SELECT clean, boot_id FROM closing;

-- upsert_closing: note how the log is left.
INSERT INTO closing (only_row, clean, boot_id) VALUES (1, :clean, :boot_id)
ON CONFLICT (only_row) DO UPDATE SET clean = :clean, boot_id = :boot_id;
