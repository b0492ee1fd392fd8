-- count_stars: of each experiment and variant, how many pictures have so many stars.
SELECT pictures.experiment_id, variant_index, stars, count(*) FROM ratings
JOIN pictures USING (experiment_id, sha256)
WHERE stars IS NOT NULL AND number IN (SELECT max(number) FROM ratings GROUP BY experiment_id, sha256)
GROUP BY pictures.experiment_id, variant_index, stars;
